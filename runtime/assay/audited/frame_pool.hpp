// Purpose: memory for coroutine frames, recycled in size classes: malloc and free are over half the cost of a child await.
// Thread rules: any thread; each has its own cache. A block may be freed on another thread than the one that took it: it
//   then goes to that thread's cache.
// Invariants:
//  (1) A header before each block holds its class and a mark that says taken or free: freeing twice or freeing a foreign
//      pointer aborts.
//  (2) A cached block's bytes are poisoned, but for its header. At most cache_bytes_per_class are kept per class.
//  (3) At hardening level 3 a class hands out its oldest block, and only when it has kept `quarantine` of them.
//  (4) In pass-through mode (ASSAY_FRAME_POOL_PASS_THROUGH, for sanitizer builds) every block goes to operator new.
#pragma once

#include <cstddef>

#include "assay/audited/current.hpp"

namespace assay::audited {

// `size` bytes aligned for any fundamental type. Throws std::bad_alloc.
// SAFETY(M6): raw memory, as operator new and delete of a promise deal in it; what free_frame() gets, take_frame() gave.
void* take_frame(std::size_t size);
// SAFETY(M6): the other half of the pair: a frame that take_frame() gave, once; its header's mark confirms both.
void free_frame(void* frame) noexcept;

// This thread's counters.
FramePoolStats frame_pool_stats() noexcept;

// Gives this thread's cached blocks back to the system.
void trim_frame_pool() noexcept;

// Aborts unless this thread's cache satisfies its invariants; returns the number of cached blocks.
std::size_t check_frame_pool() noexcept;

}  // namespace assay::audited
