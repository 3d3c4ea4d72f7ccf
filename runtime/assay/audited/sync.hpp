// Purpose: the only place where the runtime names a memory order, a mutex or a condition variable. An interleaving
//   explorer replaces this header (ASSAY_SYNC_HEADER) and runs the production source of `park` and `inbox` unchanged.
// Thread rules: as each accessor's name says.
// Invariants:
//  (1) No fences: ThreadSanitizer does not model them. Order is on the atomic operations themselves.
//  (2) A Cell is plain memory: whoever touches it owns it by the protocol of the structure it is in.
#pragma once

#if defined(ASSAY_SYNC_HEADER)
#include ASSAY_SYNC_HEADER
#else

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "assay/base/attributes.hpp"
#include "assay/base/lock.hpp"

namespace assay::audited::sync {

// SAFETY(I1): each accessor is one operation of std::atomic with the order that its name says; why that order suffices is
// said where it is called.
template <class T>
class Atomic {
 public:
  constexpr explicit Atomic(T value) noexcept : value_(value) {}

  T load_relaxed() const noexcept { return value_.load(std::memory_order_relaxed); }
  T load_acquire() const noexcept { return value_.load(std::memory_order_acquire); }
  void store_release(T next) noexcept { value_.store(next, std::memory_order_release); }
  T exchange_relaxed(T next) noexcept { return value_.exchange(next, std::memory_order_relaxed); }
  T exchange_acquire(T next) noexcept { return value_.exchange(next, std::memory_order_acquire); }
  T exchange_release(T next) noexcept { return value_.exchange(next, std::memory_order_release); }
  T exchange_acq_rel(T next) noexcept { return value_.exchange(next, std::memory_order_acq_rel); }
  T fetch_add_relaxed(T more) noexcept { return value_.fetch_add(more, std::memory_order_relaxed); }
  T fetch_sub_acq_rel(T less) noexcept { return value_.fetch_sub(less, std::memory_order_acq_rel); }
  T fetch_and_release(T mask) noexcept { return value_.fetch_and(mask, std::memory_order_release); }
  T fetch_and_acq_rel(T mask) noexcept { return value_.fetch_and(mask, std::memory_order_acq_rel); }
  // May fail spuriously. On failure `read` holds what was read instead, in no order: a guess for the next try.
  bool compare_exchange_acquire(T& read, T next) noexcept { return exchange_if(read, next, std::memory_order_acquire); }
  bool compare_exchange_release(T& read, T next) noexcept { return exchange_if(read, next, std::memory_order_release); }
  bool compare_exchange_acq_rel(T& read, T next) noexcept { return exchange_if(read, next, std::memory_order_acq_rel); }

 private:
  bool exchange_if(T& read, T next, std::memory_order success) noexcept {
    return value_.compare_exchange_weak(read, next, success, std::memory_order_relaxed);
  }

  std::atomic<T> value_;
};

// One that lives as long as the program: an explorer begins each execution with its first value.
template <class T>
using StaticAtomic = Atomic<T>;

// Plain memory whose owner changes by protocol: the explorer checks it for races.
template <class T>
class Cell {
 public:
  constexpr explicit Cell(T value) noexcept : value_(value) {}
  T get() const noexcept { return value_; }
  void set(T value) noexcept { value_ = value; }

 private:
  T value_;
};

class ASSAY_CAPABILITY("mutex") Mutex {
 public:
  void lock() ASSAY_ACQUIRE() { mutex_.lock(); }
  void unlock() ASSAY_RELEASE() { mutex_.unlock(); }
  std::mutex& native() noexcept { return mutex_; }

 private:
  std::mutex mutex_;
};

using Lock = LockOf<Mutex>;

class Condition {
 public:
  // Releases the mutex, sleeps, takes it again. May wake spuriously: call it in a loop on what it waits for.
  void wait(Mutex& mutex) ASSAY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.native(), std::adopt_lock);
    condition_.wait(held);
    held.release();
  }
  void notify_one() noexcept { condition_.notify_one(); }

 private:
  std::condition_variable condition_;
};

}  // namespace assay::audited::sync

#endif
