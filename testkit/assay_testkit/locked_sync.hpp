// Stands in for assay/audited/sync.hpp (as ASSAY_SYNC_HEADER) where a tool knows locks, and no atomics: Helgrind, DRD. Each
// operation takes a lock of its atomic, and so does as much as its order promises, and more; such a program can show that plain
// memory is used by one thread at a time, and not that an order suffices (that is what the explorers are for).
#pragma once

#include <condition_variable>
#include <mutex>

#include "assay/base/attributes.hpp"
#include "assay/base/lock.hpp"

namespace assay::audited::sync {

template <class T>
class Atomic {
 public:
  constexpr explicit Atomic(T value) noexcept : value_(value) {}

  T load_relaxed() const noexcept { return load(); }
  T load_acquire() const noexcept { return load(); }
  void store_release(T next) noexcept {
    change([&](T& value) { value = next; });
  }
  T exchange_relaxed(T next) noexcept { return exchange(next); }
  T exchange_acquire(T next) noexcept { return exchange(next); }
  T exchange_release(T next) noexcept { return exchange(next); }
  T exchange_acq_rel(T next) noexcept { return exchange(next); }
  T fetch_add_relaxed(T more) noexcept {
    return change([&](T& value) { value += more; });
  }
  T fetch_sub_acq_rel(T less) noexcept {
    return change([&](T& value) { value -= less; });
  }
  T fetch_and_release(T mask) noexcept { return fetch_and(mask); }
  T fetch_and_acq_rel(T mask) noexcept { return fetch_and(mask); }
  bool compare_exchange_acquire(T& expected, T next) noexcept { return exchange_if(expected, next); }
  bool compare_exchange_release(T& expected, T next) noexcept { return exchange_if(expected, next); }
  bool compare_exchange_acq_rel(T& expected, T next) noexcept { return exchange_if(expected, next); }

 private:
  T exchange(T next) noexcept {
    return change([&](T& value) { value = next; });
  }
  T fetch_and(T mask) noexcept {
    return change([&](T& value) { value &= mask; });
  }
  bool exchange_if(T& expected, T next) noexcept {
    const std::lock_guard lock(mutex_);
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = next;
    return true;
  }
  T load() const noexcept {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  template <class Change>
  T change(Change&& how) noexcept {
    const std::lock_guard lock(mutex_);
    const T old = value_;
    how(value_);
    return old;
  }

  mutable std::mutex mutex_;
  T value_;
};

template <class T>
using StaticAtomic = Atomic<T>;

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
