// Counts every operator new and delete of the program (this thread's), and makes chosen ones fail. The operators are
// replaced in the one file of the program that includes allocation_counter_operators.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::testkit {

struct AllocationCounts {
  std::uint64_t news = 0;
  std::uint64_t deletes = 0;
};

// This thread's counts so far.
AllocationCounts allocation_counts() noexcept;

// The next `successes` allocations of this thread succeed, the one after them throws std::bad_alloc once; with
// `from_there_on` all later ones too, until stop_failing(). Returns nothing; see allocations_failed().
void fail_allocation_after(std::uint64_t successes, bool from_there_on = false) noexcept;
void stop_failing() noexcept;
std::uint64_t allocations_failed() noexcept;

// Called in each operator new of this thread, before the memory is there; `fails`: it will throw. Null: nothing is called. May
// allocate only by malloc.
using AllocationObserver = void (*)(std::size_t size, bool fails) noexcept;
void observe_allocations(AllocationObserver observer) noexcept;

// Called in each operator delete of this thread, as an allocator between the program and malloc would be; true: the observer
// has kept the memory, and gives it to std::free later. Null: nothing is called. May not delete.
using FreeObserver = bool (*)(void* memory) noexcept;
void observe_frees(FreeObserver observer) noexcept;

}  // namespace assay::testkit
