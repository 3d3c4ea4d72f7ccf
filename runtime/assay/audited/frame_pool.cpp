// Purpose: the frame pool. See frame_pool.hpp.
// Thread rules: touches this thread's cache only.
// Invariants:
//  (1) free[c] is a singly linked chain of count[c] blocks of class c, newest first; level 3 appends instead.
//  (2) Class c holds blocks of (c + 1) * frame_class_bytes bytes; class `large` is never cached.
#include "assay/audited/frame_pool.hpp"

#include <new>

#include "assay/base/check.hpp"
#include "assay/audited/current.hpp"
#include "assay/audited/poison.hpp"

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
constexpr std::size_t cache_bytes_per_class = std::size_t{4} << 20;
constexpr const char* bad_block =
    "internal: a coroutine frame was freed twice, or its header was overwritten (a write before the frame?)";

#if defined(ASSAY_FRAME_POOL_PASS_THROUGH)
constexpr bool pass_through = true;
#else
constexpr bool pass_through = false;
#endif
constexpr std::uint32_t quarantine = ASSAY_HARDENING_LEVEL >= 3 ? 16 : 0;

constexpr std::size_t class_bytes(std::uint32_t frame_class) noexcept {
  return (std::size_t{frame_class} + 1) * frame_class_bytes;
}

// How many free blocks of a class are kept. The quarantine is a queue walked to its end, so it is kept short.
constexpr std::size_t cache_limit(std::uint32_t frame_class) noexcept {
  return quarantine != 0 ? std::size_t{2} * quarantine : cache_bytes_per_class / class_bytes(frame_class);
}

// SAFETY(M3): the block begins right before the frame: take_frame() returned header + 1.
FrameBlock* header_of(void* frame) noexcept { return static_cast<FrameBlock*>(frame) - 1; }
// SAFETY(M3): every block has at least class_bytes(0) bytes behind its header.
void* frame_of(FrameBlock* block) noexcept { return block + 1; }

void give_back(FrameBlock* block) noexcept {
  if (block->frame_class != large) unpoison(frame_of(block), class_bytes(block->frame_class));
  // SAFETY(M4): came from ::operator new in allocate(), and is in no chain any more.
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
  // SAFETY(X4): the only thread-local with a destructor; after it the cache is closed and frames pass through.
  static thread_local Reaper reaper;
  static_cast<void>(&reaper);
  current.frames.registered = true;
}

FrameBlock* allocate(std::size_t bytes, std::uint32_t frame_class) {
  // SAFETY(M4): raw memory for header and frame; freed by give_back().
  FrameBlock* const block = static_cast<FrameBlock*>(::operator new(sizeof(FrameBlock) + bytes));
  block->next = nullptr;
  block->frame_class = frame_class;
  ++current.frames.stats.allocated;
  return block;
}

}  // namespace

void* take_frame(std::size_t size) {
  ASSAY_ASSERT(size > 0, "internal: a coroutine frame of no size");
  const std::size_t index = (size - 1) / frame_class_bytes;
  const bool small = index < frame_class_count;
  FrameBlock* block = nullptr;
  if (small && !pass_through) {
    const auto frame_class = static_cast<std::uint32_t>(index);
    // SAFETY(M5): index < frame_class_count, checked above; an array of that size.
    FrameBlock*& chain = current.frames.free[index];
    if (chain != nullptr && current.frames.count[index] > quarantine) {
      block = chain;
      ASSAY_CHECK(block->mark == mark_free && block->frame_class == frame_class, bad_block);
      chain = block->next;
      --current.frames.count[index];
      --current.frames.cached;
    } else {
      block = allocate(class_bytes(frame_class), frame_class);
    }
  } else {
    block = allocate(size, large);
  }
  block->next = nullptr;
  block->mark = mark_taken;
  ++current.frames.stats.taken;
  if (block->frame_class != large) {
    poison(frame_of(block), class_bytes(block->frame_class));
    unpoison(frame_of(block), size);
  }
  return frame_of(block);
}

void free_frame(void* frame) noexcept {
  ASSAY_ASSERT(frame != nullptr, "internal: free_frame(null)");
  FrameBlock* const block = header_of(frame);
  ASSAY_CHECK(block->mark == mark_taken && block->frame_class <= large, bad_block);
  block->mark = mark_free;
  ++current.frames.stats.freed;
  const std::uint32_t frame_class = block->frame_class;
  if (frame_class == large || current.frames.closed) return give_back(block);
  // SAFETY(M5): frame_class < frame_class_count, as it is neither large nor above it (checked).
  if (current.frames.count[frame_class] >= cache_limit(frame_class)) return give_back(block);
  if (!current.frames.registered) register_reaper();
  poison(frame_of(block), class_bytes(frame_class));
  // SAFETY(M5): as above.
  FrameBlock** place = &current.frames.free[frame_class];
  if (quarantine != 0) {
    while (*place != nullptr) place = &(*place)->next;
  }
  block->next = *place;
  *place = block;
  // SAFETY(M5): as above.
  ++current.frames.count[frame_class];
  ++current.frames.cached;
}

FramePoolStats frame_pool_stats() noexcept { return current.frames.stats; }

void trim_frame_pool() noexcept {
  for (std::size_t index = 0; index < frame_class_count; ++index) {
    // SAFETY(M5): index < frame_class_count.
    FrameBlock*& chain = current.frames.free[index];
    while (chain != nullptr) {
      FrameBlock* const block = chain;
      chain = block->next;
      give_back(block);
    }
    // SAFETY(M5): index < frame_class_count.
    current.frames.count[index] = 0;
  }
  current.frames.cached = 0;
  ASSAY_DEBUG_ASSERT(check_frame_pool() == 0, "internal: a trimmed frame pool still holds blocks");
}

std::size_t check_frame_pool() noexcept {
  std::size_t total = 0;
  for (std::size_t index = 0; index < frame_class_count; ++index) {
    std::uint32_t length = 0;
    // SAFETY(M5): index < frame_class_count.
    for (const FrameBlock* block = current.frames.free[index]; block != nullptr; block = block->next) {
      ASSAY_CHECK(block->mark == mark_free && block->frame_class == index, bad_block);
      ++length;
    }
    // SAFETY(M5): index < frame_class_count.
    ASSAY_CHECK(length == current.frames.count[index], "internal: a frame pool's count is wrong");
    total += length;
  }
  ASSAY_CHECK(total == current.frames.cached, "internal: a frame pool's total is wrong");
  return total;
}

}  // namespace assay::audited
