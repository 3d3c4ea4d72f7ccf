// Purpose: the one thread-local of the runtime: this thread's own id, and its cache of coroutine frames.
// Thread rules: each thread sees its own. Nothing is ever read through it that another thread wrote.
// Invariants:
//  (1) Trivially destructible and constant-initialised: valid from the thread's first instruction to its last, also in
//      destructors of other thread-locals.
//  (2) Ids start at 1, only grow, and are never reused (thread ids of the system are).
//  (3) Correctness never depends on it: ids only detect misuse, the cache only saves calls of malloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "assay/audited/effects.hpp"
#include "assay/base/frame_classes.hpp"

namespace assay::audited {

struct FrameBlock;

struct FrameChain {
  FrameBlock* first = nullptr;
  std::uint32_t count = 0;
};

struct FrameCache {
  enum class State : std::uint8_t {
    untouched,  // nobody will end it yet
    open,       // the reaper of this thread will run
    closed,     // it has run: frames go to malloc and back
  };
  std::array<FrameChain, frame_class_count> chains{};
  FramePoolStats stats{};
  std::int64_t owned = 0;  // blocks that this thread took from the system, less those that it gave back
  State state = State::untouched;
};

struct Current {
  std::uint64_t thread_id = 0;
  unsigned fresh_nesting = 0;  // coroutines being destroyed inside each other, never having run
  FrameCache frames;
};

// SAFETY(X1): the one thread-local; constant-initialised and trivial, so it has no order of construction or destruction.
inline constinit thread_local Current current{};
inline Current& this_thread() noexcept ASSAY_NONBLOCKING { return ASSAY_UNCHECKED(current); }

// Gives this thread its id. Slow path of current_thread_id().
std::uint64_t assign_thread_id() noexcept ASSAY_NONBLOCKING;

inline std::uint64_t current_thread_id() noexcept ASSAY_NONBLOCKING {
  const std::uint64_t id = this_thread().thread_id;
  return __builtin_expect(id != 0, 1) ? id : assign_thread_id();
}

}  // namespace assay::audited
