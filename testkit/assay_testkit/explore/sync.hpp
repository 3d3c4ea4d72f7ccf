// Stands in for assay/audited/sync.hpp (as ASSAY_SYNC_HEADER) where production source runs under the interleaving
// explorer. Include through model.hpp, which comes before everything of assay.
#pragma once

#include <source_location>

#include "assay_testkit/explore/explore.hpp"
#include "assay_testkit/explore/weakening.hpp"

#include "assay/base/attributes.hpp"
#include "assay/base/lock.hpp"

namespace assay::audited::sync {

using assay::testkit::explorer::order_at;
using assay::testkit::modelled::Order;
using Place = std::source_location;

// Each atomic operation of the code under test is a place in its source: which order it has there is looked up as it
// runs, so that one program shows what each order is for (weakening.hpp).
template <class T>
class Atomic {
 public:
  explicit Atomic(T value) : value_(value) {}

  T load_relaxed() const { return value_.load(Order::relaxed); }
  T load_acquire(Place place = Place::current()) const { return value_.load(order_at(place, "load", Order::acquire)); }
  void store_release(T next, Place place = Place::current()) {
    value_.store(next, order_at(place, "store", Order::release));
  }
  T exchange_relaxed(T next) { return value_.exchange(next, Order::relaxed); }
  T exchange_acquire(T next, Place place = Place::current()) { return exchange(next, Order::acquire, place); }
  T exchange_release(T next, Place place = Place::current()) { return exchange(next, Order::release, place); }
  T exchange_acq_rel(T next, Place place = Place::current()) { return exchange(next, Order::acq_rel, place); }
  T fetch_add_relaxed(T more) { return value_.fetch_add(more, Order::relaxed); }
  T fetch_sub_acq_rel(T less, Place place = Place::current()) {
    return value_.fetch_sub(less, order_at(place, "fetch_sub", Order::acq_rel));
  }
  T fetch_and_release(T mask, Place place = Place::current()) { return fetch_and(mask, Order::release, place); }
  T fetch_and_acq_rel(T mask, Place place = Place::current()) { return fetch_and(mask, Order::acq_rel, place); }
  bool compare_exchange_acquire(T& expected, T next, Place place = Place::current()) {
    return exchange_if(expected, next, Order::acquire, place);
  }
  bool compare_exchange_release(T& expected, T next, Place place = Place::current()) {
    return exchange_if(expected, next, Order::release, place);
  }
  bool compare_exchange_acq_rel(T& expected, T next, Place place = Place::current()) {
    return exchange_if(expected, next, Order::acq_rel, place);
  }

 private:
  T exchange(T next, Order order, Place place) { return value_.exchange(next, order_at(place, "exchange", order)); }
  T fetch_and(T mask, Order order, Place place) { return value_.fetch_and(mask, order_at(place, "fetch_and", order)); }
  bool exchange_if(T& expected, T next, Order success, Place place) {
    return value_.compare_exchange_weak(expected, next, order_at(place, "compare_exchange", success), Order::relaxed);
  }

  testkit::modelled::Atomic<T> value_;
};

// A model holds a StaticAtomic::Execution for each that the code under test has: modelled atomics belong to one
// execution.
template <class T>
class StaticAtomic {
 public:
  constexpr explicit StaticAtomic(T first) : first_(first) {}

  class Execution {
   public:
    explicit Execution(StaticAtomic& place) : place_(place), value_(place.first_) { place_.now_ = &value_; }
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
    ~Execution() { place_.now_ = nullptr; }

   private:
    StaticAtomic& place_;
    Atomic<T> value_;
  };

  T load_acquire(Place place = Place::current()) const { return now_->load_acquire(place); }
  void store_release(T next, Place place = Place::current()) { now_->store_release(next, place); }

 private:
  T first_;
  Atomic<T>* now_ = nullptr;
};

template <class T>
using Cell = testkit::modelled::Cell<T>;

class ASSAY_CAPABILITY("mutex") Mutex {
 public:
  void lock() ASSAY_ACQUIRE() { mutex_.lock(); }
  void unlock() ASSAY_RELEASE() { mutex_.unlock(); }
  testkit::modelled::Mutex& native() { return mutex_; }

 private:
  testkit::modelled::Mutex mutex_;
};

using Lock = LockOf<Mutex>;

class Condition {
 public:
  void wait(Mutex& mutex) ASSAY_REQUIRES(mutex) { condition_.wait(mutex.native()); }
  void notify_one() { condition_.notify_one(); }

 private:
  testkit::modelled::Condition condition_;
};

}  // namespace assay::audited::sync
