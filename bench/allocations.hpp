// Counts what the whole program takes from malloc, by whichever way: operator new, C libraries, all threads.
#pragma once

#include <cstdint>

namespace bench {

struct AllocationTotals {
  std::int64_t allocations = 0;
  std::int64_t live_bytes = 0;  // as malloc_usable_size sees them, with the 8 bytes of glibc's header for each
};

// Off at the start: an atomic addition in each malloc would be a cost of its own.
void set_counting(bool on) noexcept;
AllocationTotals allocation_totals() noexcept;

}  // namespace bench
