// Stands in for assay/audited/sync.hpp (as ASSAY_SYNC_HEADER) where the production source of `park` and `inbox` runs
// under Relacy, which explores every interleaving and every value that the C++ memory model lets a load read. Include
// through model.hpp, which comes before everything of assay.
#pragma once

#include "assay_testkit/relacy.hpp"

// A model that allocates says MODEL_NEW and MODEL_DELETE: memory whose use after free, double free and leak Relacy
// reports.
#define MODEL_NEW RL_NEW_PROXY
#define MODEL_DELETE RL_DELETE_PROXY

#include "assay/base/attributes.hpp"
#include "assay/base/lock.hpp"

namespace assay::audited::sync {

// A model that is started with --weakened has all its orders relaxed, to show that it can fail.
inline bool is_weakened = false;
inline rl::memory_order acquire() { return is_weakened ? rl::mo_relaxed : rl::mo_acquire; }
inline rl::memory_order release() { return is_weakened ? rl::mo_relaxed : rl::mo_release; }
inline rl::memory_order acq_rel() { return is_weakened ? rl::mo_relaxed : rl::mo_acq_rel; }

template <class T>
class Atomic {
 public:
  explicit Atomic(T value) : value_(value) {}

  T load_relaxed() const { return value_.load(rl::mo_relaxed, $); }
  T load_acquire() const { return value_.load(acquire(), $); }
  void store_release(T next) { value_.store(next, release(), $); }
  T exchange_relaxed(T next) { return value_.exchange(next, rl::mo_relaxed, $); }
  T exchange_acquire(T next) { return value_.exchange(next, acquire(), $); }
  T exchange_release(T next) { return value_.exchange(next, release(), $); }
  T exchange_acq_rel(T next) { return value_.exchange(next, acq_rel(), $); }
  T fetch_add_relaxed(T more) { return value_.fetch_add(more, rl::mo_relaxed, $); }
  T fetch_sub_acq_rel(T less) { return value_.fetch_sub(less, acq_rel(), $); }
  T fetch_and_release(T mask) { return value_.fetch_and(mask, release(), $); }
  T fetch_and_acq_rel(T mask) { return value_.fetch_and(mask, acq_rel(), $); }
  bool compare_exchange_acquire(T& expected, T next) { return exchange_if(expected, next, acquire()); }
  bool compare_exchange_release(T& expected, T next) { return exchange_if(expected, next, release()); }
  bool compare_exchange_acq_rel(T& expected, T next) { return exchange_if(expected, next, acq_rel()); }

 private:
  bool exchange_if(T& expected, T next, rl::memory_order success) {
    return value_.compare_exchange_strong(expected, next, success, $, rl::mo_relaxed, $);
  }

  rl::atomic<T> value_;
};

// A model holds a StaticAtomic::Execution for each that the code under test has: Relacy's atomics belong to one
// execution, and hold no pointers to what is const.
template <class T>
class StaticAtomic;
template <class T>
class StaticAtomic<const T*> {
 public:
  constexpr explicit StaticAtomic(const T* first) : first_(first) {}

  class Execution {
   public:
    explicit Execution(StaticAtomic& place) : place_(place), value_(const_cast<T*>(place.first_)) {
      place_.now_ = &value_;
    }
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
    ~Execution() { place_.now_ = nullptr; }

   private:
    StaticAtomic& place_;
    Atomic<T*> value_;
  };

  const T* load_acquire() const { return now_->load_acquire(); }
  void store_release(const T* next) { now_->store_release(const_cast<T*>(next)); }

 private:
  const T* first_;
  Atomic<T*>* now_ = nullptr;
};

template <class T>
class Cell {
 public:
  explicit Cell(T value) : value_(value) {}
  T get() const { return value_($).load(); }
  void set(T value) { value_($) = value; }

 private:
  mutable rl::var<T> value_;
};

class ASSAY_CAPABILITY("mutex") Mutex {
 public:
  void lock() ASSAY_ACQUIRE() { mutex_.lock($); }
  void unlock() ASSAY_RELEASE() { mutex_.unlock($); }
  rl::mutex& native() { return mutex_; }

 private:
  rl::mutex mutex_;
};

using Lock = LockOf<Mutex>;

class Condition {
 public:
  void wait(Mutex& mutex) ASSAY_REQUIRES(mutex) { condition_.wait(mutex.native(), $); }
  void notify_one() { condition_.notify_one($); }

 private:
  rl::condition_variable_any condition_;
};

}  // namespace assay::audited::sync
