// Purpose: what the bits of a task's word of flags mean. Their life is drawn in audited/task.hpp.
// Thread rules: none.
// Invariants:
//  (1) Each flag is one bit, and no two are the same.
#pragma once

#include <cstdint>

namespace assay::audited {

struct TaskFlags {
  static constexpr std::uint32_t queued = 1;         // in the ready queue
  static constexpr std::uint32_t woken = 2;          // to be polled when its turn comes
  static constexpr std::uint32_t running = 4;        // being polled, or its future being destroyed
  static constexpr std::uint32_t cancel = 8;         // asked for during its own poll
  static constexpr std::uint32_t done = 16;          // the future's life is over
  static constexpr std::uint32_t cancelled = 32;     // ... before it was Ready
  static constexpr std::uint32_t handle = 64;        // a TaskHandle owns the outcome
  static constexpr std::uint32_t group = 128;        // Wakers of the any-thread kind own a reference (see inbox.hpp)
  static constexpr std::uint32_t has_output = 256;
  static constexpr std::uint32_t has_exception = 512;
  static constexpr std::uint32_t reported = 1024;    // as stranded, once
  static constexpr std::uint32_t orphan = 2048;      // the executor is gone; local holders own one remote reference
};

}  // namespace assay::audited
