// What the whole program takes from malloc, by whichever way: operator new, C libraries, all threads. Counted by
// libbench_allocations.so, which the runner puts in front of the C library (LD_PRELOAD) for --count: a program that is timed has
// nothing in the way of its malloc.
#pragma once

#include <cstdint>
#include <stdexcept>

extern "C" {
// Null when the library is not there.
[[gnu::weak]] void assay_bench_count_allocations(bool on) noexcept;
[[gnu::weak]] void assay_bench_allocation_totals(std::int64_t* allocations, std::int64_t* live_bytes) noexcept;
}

namespace bench {

struct AllocationTotals {
  std::int64_t allocations = 0;
  std::int64_t live_bytes = 0;  // as malloc_usable_size sees them, with the 8 bytes of glibc's header for each
};

inline void set_counting(bool on) {
  if (assay_bench_count_allocations != nullptr) {
    assay_bench_count_allocations(on);
  } else if (on) {
    throw std::runtime_error("--count needs LD_PRELOAD=libbench_allocations.so");
  }
}
inline AllocationTotals allocation_totals() {
  AllocationTotals totals;
  if (assay_bench_allocation_totals != nullptr) assay_bench_allocation_totals(&totals.allocations, &totals.live_bytes);
  return totals;
}

}  // namespace bench
