// Purpose: the frame pool. See frame_pool.hpp.
// Thread rules: touches this thread's cache only.
// Invariants:
//  (1) The chain of class c has chains[c].count blocks of class c, newest first; level 3 appends instead.
#include "assay/audited/frame_pool.hpp"

#include <new>
#include <utility>

namespace assay::audited {

namespace {

void give_back(FrameBlock* block, std::uint32_t frame_class) noexcept {
  // SAFETY(M2, M7): a block of the pool that is in no chain any more; a large one was never poisoned.
  if (frame_class != FrameClasses::large) {
    unpoison(block + 1, FrameClasses::bytes_of(frame_class));
    --this_thread().frames.owned;
  }
  // SAFETY(M8): came from ::operator new in make_frame(), and is in no chain any more.
  ::operator delete(block);
}

// Runs at thread exit, once the thread has cached a block.
struct Reaper {
  ~Reaper() {
    trim_frame_pool();
    this_thread().frames.state = FrameCache::State::closed;
  }
};

void register_reaper() {
  // SAFETY(X3): the only thread-local with a destructor; after it the cache is closed and frames pass through.
  static thread_local Reaper reaper;
  static_cast<void>(&reaper);
  this_thread().frames.state = FrameCache::State::open;
}

}  // namespace

// SAFETY(M1, M2, M6, M7, M8): a block of the pool or a new one, which give_back() frees, with a header whose life begins at its
// start; until it is handed out nobody has it, so that poisoning it is ours.
void* make_frame(std::size_t size) {
  FrameCache& cache = this_thread().frames;
  const std::uint32_t frame_class = FrameClasses::class_of(size);
  if (frame_class != FrameClasses::large && cache.chains.at(frame_class).count > FrameClasses::quarantine) {
    return frame_in(unchain_frame(cache.chains.at(frame_class), frame_class), frame_class, size);
  }
  const std::size_t bytes = frame_class == FrameClasses::large ? size : FrameClasses::bytes_of(frame_class);
  auto* const block = ::new (::operator new(sizeof(FrameBlock) + bytes)) FrameBlock{nullptr, FrameBlock::free | frame_class};
  ++cache.stats.allocated;
  if (frame_class != FrameClasses::large) {
    poison(block + 1, bytes);
    ++cache.owned;
  }
  return frame_in(block, frame_class, size);
}

// SAFETY(M1, M7): the block was given back by its frame's end, whose bytes are ours.
void put_away(FrameBlock* block, std::uint32_t frame_class) noexcept {
  FrameCache& cache = this_thread().frames;
  if (frame_class == FrameClasses::large || cache.state == FrameCache::State::closed) return give_back(block, frame_class);
  const std::uint32_t kept = cache.chains.at(frame_class).count;
  if (kept >= FrameClasses::limit(frame_class) && (FrameClasses::quarantine != 0 || kept >= cache.owned)) {
    return give_back(block, frame_class);
  }
  if (cache.state == FrameCache::State::untouched) register_reaper();
  poison(block + 1, FrameClasses::bytes_of(frame_class));
  FrameBlock** place = &cache.chains.at(frame_class).first;
  while (FrameClasses::quarantine != 0 && *place != nullptr) place = &(*place)->next;
  block->next = *place;
  *place = block;
  ++cache.chains.at(frame_class).count;
}

FramePoolStats frame_pool_stats() noexcept { return this_thread().frames.stats; }

void trim_frame_pool() noexcept {
  for (std::uint32_t frame_class = 0; frame_class < FrameClasses::large; ++frame_class) {
    FrameChain& chain = this_thread().frames.chains.at(frame_class);
    while (chain.first != nullptr) give_back(std::exchange(chain.first, chain.first->next), frame_class);
    chain.count = 0;
  }
}

std::size_t check_frame_pool() noexcept {
  std::size_t total = 0;
  for (std::uint32_t frame_class = 0; frame_class < FrameClasses::large; ++frame_class) {
    const FrameChain& chain = this_thread().frames.chains.at(frame_class);
    std::size_t length = 0;
    for (const FrameBlock* block = chain.first; block != nullptr; block = block->next, ++length) {
      ASSAY_CHECK(block->mark == (FrameBlock::free | frame_class), bad_frame_block);
    }
    ASSAY_CHECK(length == chain.count, "internal: a frame pool's count is wrong");
    total += length;
  }
  return total;
}

}  // namespace assay::audited
