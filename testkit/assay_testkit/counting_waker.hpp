// A Waker that counts what is done with it, and can run a hook inside each operation (to re-enter what holds it).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "assay/waker.hpp"
#include "assay_testkit/ledger.hpp"

namespace assay::testkit {

// Owns the counters; must outlive every waker made from it. Wakers may be used on any thread.
class CountingWaker {
 public:
  CountingWaker() = default;
  CountingWaker(const CountingWaker&) = delete;
  CountingWaker& operator=(const CountingWaker&) = delete;

  // The first waker of a family; not counted as a clone.
  Waker waker() noexcept { return Waker::from_raw(RawWaker{this, &table}); }

  std::uint64_t wakes() const noexcept { return wakes_.load(); }
  std::uint64_t clones() const noexcept { return clones_.load(); }
  std::uint64_t drops() const noexcept { return drops_.load(); }

  // Run inside the operation, on the thread that does it. Must not throw.
  std::function<void()> on_clone{};
  std::function<void()> on_wake{};
  std::function<void()> on_drop{};

 private:
  static CountingWaker& self(void* data) noexcept { return *static_cast<CountingWaker*>(data); }
  static RawWaker clone(void* data) noexcept {
    ++self(data).clones_;
    if (self(data).on_clone) self(data).on_clone();
    return RawWaker{data, &table};
  }
  static void wake_by_ref(void* data) noexcept {
    ++self(data).wakes_;
    if (self(data).on_wake) self(data).on_wake();
  }
  static void drop(void* data) noexcept {
    ++self(data).drops_;
    if (self(data).on_drop) self(data).on_drop();
  }
  static void wake(void* data) noexcept {
    wake_by_ref(data);
    drop(data);
  }
  static constexpr RawWakerVTable table{clone, wake, wake_by_ref, drop};

  std::atomic<std::uint64_t> wakes_{0};
  std::atomic<std::uint64_t> clones_{0};
  std::atomic<std::uint64_t> drops_{0};
};

}  // namespace assay::testkit
