// Purpose: memory for coroutine frames, recycled in size classes: malloc and free are over half the cost of a child await.
// Thread rules: any thread; each has its own cache. A block may be freed on another thread than the one that took it: it
//   then goes to that thread's cache.
// Invariants:
//  (1) A header before each block holds a mark that says its class, and taken or free: freeing twice or freeing a foreign
//      pointer aborts.
//  (2) A cached block's bytes are poisoned, but for its header. At most cache_bytes_per_class are kept per class, or as many blocks
//      as the thread itself took from the system, if those are more: so one thread's frames do not pile up in another's cache.
//  (3) At hardening level 3 a class hands out its oldest block, and only when it has kept `quarantine` of them.
//  (4) In pass-through mode (ASSAY_FRAME_POOL_PASS_THROUGH, for sanitizer builds) every block goes to operator new.
//  (5) Class c holds blocks of (c + 1) * frame_class_bytes bytes; class `large` is never cached. A frame is freed with the size
//      with which it was taken.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/audited/current.hpp"
#include "assay/audited/poison.hpp"
#include "assay/base/check.hpp"
#include "assay/base/frame_classes.hpp"

namespace assay::audited {

// 16 bytes: the frame after it keeps the alignment of operator new.
struct alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) FrameBlock {
  FrameBlock* next;
  std::uint32_t mark;

  static constexpr std::uint32_t taken = 0x7a4e1000;  // and the class, in the low bits
  static constexpr std::uint32_t free = 0x7a4e2000;
};

inline constexpr const char* bad_frame_block =
    "internal: a coroutine frame was freed twice, or its header was overwritten (a write before the frame?)";

// Takes the first block, of this class, out of its chain.
inline FrameBlock* unchain_frame(FrameChain& chain, std::uint32_t frame_class) noexcept ASSAY_NONBLOCKING {
  FrameBlock* const block = chain.first;
  ASSAY_CHECK(block->mark == (FrameBlock::free | frame_class), bad_frame_block);
  chain.first = block->next;
  --chain.count;
  return block;
}

// The frame in a block that nobody has.
// SAFETY(M2, M6, M7): the block is in no chain, and large enough for its class; the frame begins behind its header.
inline void* frame_in(FrameBlock* block, std::uint32_t frame_class, std::size_t size) noexcept ASSAY_NONBLOCKING {
  block->mark = FrameBlock::taken | frame_class;
  ++this_thread().frames.stats.taken;
  unpoison(block + 1, size);
  return block + 1;
}

// The parts of take_frame() and free_frame() that are seldom needed: a block that is not in the cache, or not for it.
// SAFETY(M6): raw memory, as operator new and delete of a promise deal in it.
void* make_frame(std::size_t size);
void put_away(FrameBlock* block, std::uint32_t frame_class) noexcept;

// `size` bytes aligned for any fundamental type. Throws std::bad_alloc. Inline, and `size` is a constant where the compiler
// knows it: a frame costs a dozen instructions then.
// SAFETY(M6): what a promise's operator new returns.
ASSAY_RUNS_OTHERS inline void* take_frame(std::size_t size) ASSAY_NONBLOCKING {
  ASSAY_ASSERT(size > 0, "internal: a coroutine frame of no size");
  const std::uint32_t frame_class = FrameClasses::class_of(size);
  if (FrameClasses::quarantine != 0 || frame_class == FrameClasses::large) return ASSAY_UNCHECKED(make_frame(size));
  FrameChain& chain = ASSAY_UNCHECKED(this_thread().frames.chains.at(frame_class));
  if (chain.first == nullptr) return ASSAY_UNCHECKED(make_frame(size));
  return frame_in(unchain_frame(chain, frame_class), frame_class, size);
}

// Gives back what take_frame(size) gave, once.
// SAFETY(M1, M6, M7): the compiler frees what take_frame() gave for this frame, whose life is over; the mark confirms it. Its
// block begins right before it.
ASSAY_RUNS_OTHERS inline void free_frame(void* frame, std::size_t size) noexcept ASSAY_NONBLOCKING {
  const std::uint32_t frame_class = FrameClasses::class_of(size);
  FrameBlock* const block = static_cast<FrameBlock*>(frame) - 1;
  ASSAY_CHECK(block->mark == (FrameBlock::taken | frame_class), bad_frame_block);
  FrameCache& cache = this_thread().frames;
  block->mark = FrameBlock::free | frame_class;
  ++cache.stats.freed;
  if (FrameClasses::quarantine != 0 || frame_class == FrameClasses::large || cache.state != FrameCache::State::open) {
    return ASSAY_UNCHECKED(put_away(block, frame_class));
  }
  FrameChain& chain = ASSAY_UNCHECKED(cache.chains.at(frame_class));
  if (chain.count >= FrameClasses::limit(frame_class)) return ASSAY_UNCHECKED(put_away(block, frame_class));
  poison(frame, FrameClasses::bytes_of(frame_class));
  block->next = chain.first;
  chain.first = block;
  ++chain.count;
}

// This thread's counters.
FramePoolStats frame_pool_stats() noexcept;

// Gives this thread's cached blocks back to the system.
void trim_frame_pool() noexcept;

// Aborts unless this thread's cache satisfies its invariants; returns the number of cached blocks.
std::size_t check_frame_pool() noexcept;

}  // namespace assay::audited
