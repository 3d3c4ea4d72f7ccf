// Purpose: memory for coroutine frames, recycled in size classes: malloc and free are over half the cost of a child await.
// Thread rules: any thread; each has its own cache. A block may be freed on another thread than the one that took it: it
//   then goes to that thread's cache.
// Invariants:
//  (1) A header before each block holds a mark that says its class, and taken or free: freeing twice or freeing a foreign
//      pointer aborts.
//  (2) A cached block's bytes are poisoned, but for its header. At most cache_bytes_per_class are kept per class.
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

#ifndef ASSAY_FRAME_POOL_PASS_THROUGH
#define ASSAY_FRAME_POOL_PASS_THROUGH 0
#endif

namespace assay::audited {

// 16 bytes: the frame after it keeps the alignment of operator new.
struct alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) FrameBlock {
  FrameBlock* next;
  std::uint32_t mark;

  static constexpr std::uint32_t taken = 0x7a4e1000;  // and the class, in the low bits
  static constexpr std::uint32_t free = 0x7a4e2000;
  static constexpr std::uint32_t large = frame_class_count;  // or passed through
  static constexpr bool pass_through = ASSAY_FRAME_POOL_PASS_THROUGH != 0;
  // Level 3 keeps a short queue per class, and hands out a block when that many are behind it.
  static constexpr std::uint32_t quarantine = ASSAY_HARDENING_LEVEL >= 3 ? 16 : 0;
  static constexpr std::size_t cache_bytes_per_class = std::size_t{4} << 20;

  static constexpr std::uint32_t class_of(std::size_t size) noexcept {
    const std::size_t units = (size - 1) / frame_class_bytes;
    return pass_through || units >= large ? large : static_cast<std::uint32_t>(units);
  }
  static constexpr std::size_t bytes_of(std::uint32_t frame_class) noexcept {
    return (std::size_t{frame_class} + 1) * frame_class_bytes;
  }
  static constexpr std::size_t limit(std::uint32_t frame_class) noexcept {
    return quarantine != 0 ? std::size_t{2} * quarantine : cache_bytes_per_class / bytes_of(frame_class);
  }
};

inline constexpr const char* bad_frame_block =
    "internal: a coroutine frame was freed twice, or its header was overwritten (a write before the frame?)";

// Takes the first block, of this class, out of its chain.
inline FrameBlock* unchain_frame(FrameChain& chain, std::uint32_t frame_class) noexcept {
  FrameBlock* const block = chain.first;
  ASSAY_CHECK(block->mark == (FrameBlock::free | frame_class), bad_frame_block);
  chain.first = block->next;
  --chain.count;
  return block;
}

// The frame in a block that nobody has.
// SAFETY(M2, M6, M7): the block is in no chain, and large enough for its class; the frame begins behind its header.
inline void* frame_in(FrameBlock* block, std::uint32_t frame_class, std::size_t size) noexcept {
  block->mark = FrameBlock::taken | frame_class;
  ++current.frames.stats.taken;
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
inline void* take_frame(std::size_t size) {
  ASSAY_ASSERT(size > 0, "internal: a coroutine frame of no size");
  const std::uint32_t frame_class = FrameBlock::class_of(size);
  if (FrameBlock::quarantine != 0 || frame_class == FrameBlock::large) return make_frame(size);
  FrameChain& chain = current.frames.chains.at(frame_class);
  if (chain.first == nullptr) return make_frame(size);
  return frame_in(unchain_frame(chain, frame_class), frame_class, size);
}

// Gives back what take_frame(size) gave, once.
// SAFETY(M1, M6, M7): the compiler frees what take_frame() gave for this frame, whose life is over; the mark confirms it. Its
// block begins right before it.
inline void free_frame(void* frame, std::size_t size) noexcept {
  const std::uint32_t frame_class = FrameBlock::class_of(size);
  FrameBlock* const block = static_cast<FrameBlock*>(frame) - 1;
  ASSAY_CHECK(block->mark == (FrameBlock::taken | frame_class), bad_frame_block);
  FrameCache& cache = current.frames;
  block->mark = FrameBlock::free | frame_class;
  ++cache.stats.freed;
  if (FrameBlock::quarantine != 0 || frame_class == FrameBlock::large || cache.state != FrameCache::State::open) {
    return put_away(block, frame_class);
  }
  FrameChain& chain = cache.chains.at(frame_class);
  if (chain.count >= FrameBlock::limit(frame_class)) return put_away(block, frame_class);
  poison(frame, FrameBlock::bytes_of(frame_class));
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
