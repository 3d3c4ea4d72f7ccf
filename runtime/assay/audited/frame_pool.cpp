// Purpose: the frame pool. See frame_pool.hpp.
// Thread rules: touches this thread's cache only.
// Invariants:
//  (1) free[c] is a singly linked chain of count[c] blocks of class c, newest first; level 3 appends instead.
//  (2) Class c holds blocks of (c + 1) * frame_class_bytes bytes; class `large` is never cached.
#include "assay/audited/frame_pool.hpp"

#include <new>
#include <utility>

#include "assay/audited/poison.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

// 16 bytes: the frame after it keeps the alignment of operator new.
struct alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) FrameBlock {
  FrameBlock* next;
  std::uint32_t frame_class;
  std::uint32_t mark;
};

namespace {

constexpr std::uint32_t mark_taken = 0x7a4e1f01;
constexpr std::uint32_t mark_free = 0x7a4e1f00;
constexpr std::uint32_t large = frame_class_count;
constexpr const char* bad_block =
    "internal: a coroutine frame was freed twice, or its header was overwritten (a write before the frame?)";
#if defined(ASSAY_FRAME_POOL_PASS_THROUGH)
constexpr bool pass_through = true;
#else
constexpr bool pass_through = false;
#endif
// Level 3 keeps a short queue per class, and hands out a block when that many are behind it.
constexpr std::uint32_t quarantine = ASSAY_HARDENING_LEVEL >= 3 ? 16 : 0;
constexpr std::size_t cache_bytes_per_class = std::size_t{4} << 20;

constexpr std::size_t class_bytes(std::uint32_t frame_class) noexcept {
  return (std::size_t{frame_class} + 1) * frame_class_bytes;
}
constexpr std::size_t cache_limit(std::uint32_t frame_class) noexcept {
  return quarantine != 0 ? std::size_t{2} * quarantine : cache_bytes_per_class / class_bytes(frame_class);
}

// SAFETY(M7): the block begins right before the frame: take_frame() returned header + 1.
FrameBlock* header_of(void* frame) noexcept { return static_cast<FrameBlock*>(frame) - 1; }
// SAFETY(M7): every block has at least one byte behind its header, so that this is inside its allocation.
void* frame_of(FrameBlock* block) noexcept { return block + 1; }

void give_back(FrameBlock* block) noexcept {
  // SAFETY(M2): a block of the pool that is in no chain any more; a large one was never poisoned.
  if (block->frame_class != large) unpoison(frame_of(block), class_bytes(block->frame_class));
  // SAFETY(M8): came from ::operator new in take_frame(), and is in no chain any more.
  ::operator delete(block);
}

// Runs at thread exit, once the thread has cached a block.
struct Reaper {
  ~Reaper() {
    trim_frame_pool();
    current.frames.closed = true;
  }
};

void register_reaper() {
  // SAFETY(X3): the only thread-local with a destructor; after it the cache is closed and frames pass through.
  static thread_local Reaper reaper;
  static_cast<void>(&reaper);
  current.frames.registered = true;
}

}  // namespace

// SAFETY(M1, M2, M6, M8): a block of the pool or a new one, which give_back() frees, with a header whose life begins at its
// start; until it is handed out nobody has it, so that poisoning it is ours.
void* take_frame(std::size_t size) {
  ASSAY_ASSERT(size > 0, "internal: a coroutine frame of no size");
  FrameCache& cache = current.frames;
  const std::size_t units = (size - 1) / frame_class_bytes;
  const std::uint32_t frame_class = pass_through || units >= large ? large : static_cast<std::uint32_t>(units);
  FrameBlock* block = nullptr;
  if (frame_class != large && cache.count.at(frame_class) > quarantine) {
    FrameBlock*& chain = cache.free.at(frame_class);
    block = chain;
    ASSAY_CHECK(block->mark == mark_free && block->frame_class == frame_class, bad_block);
    chain = block->next;
    --cache.count.at(frame_class);
  } else {
    const std::size_t bytes = frame_class == large ? size : class_bytes(frame_class);
    block = ::new (::operator new(sizeof(FrameBlock) + bytes)) FrameBlock{nullptr, frame_class, mark_free};
    ++cache.stats.allocated;
    if (frame_class != large) poison(frame_of(block), bytes);
  }
  block->mark = mark_taken;
  ++cache.stats.taken;
  unpoison(frame_of(block), size);
  return frame_of(block);
}

// SAFETY(M1, M6): the compiler frees what take_frame() gave for this frame, whose life is over; the mark confirms it.
void free_frame(void* frame) noexcept {
  FrameCache& cache = current.frames;
  FrameBlock* const block = header_of(frame);
  const std::uint32_t frame_class = block->frame_class;
  ASSAY_CHECK(block->mark == mark_taken && frame_class <= large, bad_block);
  block->mark = mark_free;
  ++cache.stats.freed;
  if (frame_class == large || cache.closed || cache.count.at(frame_class) >= cache_limit(frame_class)) {
    return give_back(block);
  }
  if (!cache.registered) register_reaper();
  poison(frame, class_bytes(frame_class));
  FrameBlock** place = &cache.free.at(frame_class);
  while (quarantine != 0 && *place != nullptr) place = &(*place)->next;
  block->next = *place;
  *place = block;
  ++cache.count.at(frame_class);
}

FramePoolStats frame_pool_stats() noexcept { return current.frames.stats; }

void trim_frame_pool() noexcept {
  for (FrameBlock*& chain : current.frames.free) {
    while (chain != nullptr) give_back(std::exchange(chain, chain->next));
  }
  current.frames.count.fill(0);
}

std::size_t check_frame_pool() noexcept {
  std::size_t total = 0;
  for (std::uint32_t frame_class = 0; frame_class < large; ++frame_class) {
    std::size_t length = 0;
    for (const FrameBlock* block = current.frames.free.at(frame_class); block != nullptr; block = block->next, ++length) {
      ASSAY_CHECK(block->mark == mark_free && block->frame_class == frame_class, bad_block);
    }
    ASSAY_CHECK(length == current.frames.count.at(frame_class), "internal: a frame pool's count is wrong");
    total += length;
  }
  return total;
}

}  // namespace assay::audited
