// Defines the replaced operator new and delete, and what allocation_counter.hpp declares. Include in exactly one file.
#pragma once

#include <cstdlib>
#include <new>

#include "assay_testkit/allocation_counter.hpp"

namespace assay::testkit::detail {

struct AllocationState {
  AllocationCounts counts;
  std::uint64_t successes_left = 0;
  std::uint64_t failed = 0;
  bool armed = false;
  bool from_there_on = false;
  AllocationObserver observer = nullptr;
  FreeObserver free_observer = nullptr;
};
inline constinit thread_local AllocationState allocation_state{};

inline void* allocate(std::size_t size, std::size_t alignment) {
  AllocationState& state = allocation_state;
  if (state.observer != nullptr) state.observer(size, state.armed && state.successes_left == 0);
  if (state.armed) {
    if (state.successes_left == 0) {
      if (!state.from_there_on) state.armed = false;
      ++state.failed;
      throw std::bad_alloc();
    }
    --state.successes_left;
  }
  ++state.counts.news;
  if (size == 0) size = 1;
  void* const bytes = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                          ? std::malloc(size)
                          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (bytes == nullptr) throw std::bad_alloc();
  return bytes;
}

inline void release(void* bytes) noexcept {
  if (bytes == nullptr) return;
  ++allocation_state.counts.deletes;
  if (allocation_state.free_observer != nullptr && allocation_state.free_observer(bytes)) return;
  std::free(bytes);
}

}  // namespace assay::testkit::detail

namespace assay::testkit {

AllocationCounts allocation_counts() noexcept { return detail::allocation_state.counts; }
void fail_allocation_after(std::uint64_t successes, bool from_there_on) noexcept {
  detail::allocation_state.successes_left = successes;
  detail::allocation_state.from_there_on = from_there_on;
  detail::allocation_state.failed = 0;
  detail::allocation_state.armed = true;
}
void stop_failing() noexcept { detail::allocation_state.armed = false; }
std::uint64_t allocations_failed() noexcept { return detail::allocation_state.failed; }
void observe_allocations(AllocationObserver observer) noexcept { detail::allocation_state.observer = observer; }
void observe_frees(FreeObserver observer) noexcept { detail::allocation_state.free_observer = observer; }

}  // namespace assay::testkit

void* operator new(std::size_t size) { return assay::testkit::detail::allocate(size, 0); }
void* operator new[](std::size_t size) { return assay::testkit::detail::allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return assay::testkit::detail::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return assay::testkit::detail::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* bytes) noexcept { assay::testkit::detail::release(bytes); }
void operator delete[](void* bytes) noexcept { assay::testkit::detail::release(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { assay::testkit::detail::release(bytes); }
void operator delete[](void* bytes, std::size_t) noexcept { assay::testkit::detail::release(bytes); }
void operator delete(void* bytes, std::align_val_t) noexcept { assay::testkit::detail::release(bytes); }
void operator delete[](void* bytes, std::align_val_t) noexcept { assay::testkit::detail::release(bytes); }
void operator delete(void* bytes, std::size_t, std::align_val_t) noexcept { assay::testkit::detail::release(bytes); }
void operator delete[](void* bytes, std::size_t, std::align_val_t) noexcept { assay::testkit::detail::release(bytes); }
