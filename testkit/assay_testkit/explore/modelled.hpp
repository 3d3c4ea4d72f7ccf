// What a model is made of: atomics, plain memory, mutexes, conditions and threads, as the standard library has them,
// but each operation is a point where the explorer may let another thread go on. Used inside explore() only.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "assay_testkit/explore/engine.hpp"

namespace assay::testkit::modelled {

using explorer::Order;

namespace detail {

// The number of a modelled object, which may be gone: the explorer says so, and in which execution, where
// AddressSanitizer would end the program.
[[gnu::no_sanitize_address, gnu::noinline]] inline std::uint32_t read_id(const std::uint32_t& id) { return id; }

template <class T>
std::uint64_t bits_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t),
                "an atomic holds up to 8 plain bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
T value_of(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace detail

// std::atomic, with the orders as values of Order. There is no operator= and no conversion: a model says each access.
template <class T>
class Atomic {
 public:
  explicit Atomic(T value = T()) : id_(explorer::Engine::here().make_location(detail::bits_of(value))) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  ~Atomic() { explorer::Engine::here().end_location(detail::read_id(id_)); }

  T load(Order order = Order::seq_cst) const {
    explorer::Operation operation = prepare(explorer::Kind::load, order);
    return detail::value_of<T>(explorer::Engine::here().perform(operation));
  }
  void store(T value, Order order = Order::seq_cst) {
    explorer::Operation operation = prepare(explorer::Kind::store, order);
    operation.operand = detail::bits_of(value);
    explorer::Engine::here().perform(operation);
  }
  T exchange(T value, Order order = Order::seq_cst) {
    return change(value, order, [](std::uint64_t, std::uint64_t operand) { return operand; });
  }
  T fetch_add(T value, Order order = Order::seq_cst) {
    return change(value, order, [](std::uint64_t old, std::uint64_t operand) {
      return detail::bits_of(static_cast<T>(detail::value_of<T>(old) + detail::value_of<T>(operand)));
    });
  }
  T fetch_sub(T value, Order order = Order::seq_cst) {
    return change(value, order, [](std::uint64_t old, std::uint64_t operand) {
      return detail::bits_of(static_cast<T>(detail::value_of<T>(old) - detail::value_of<T>(operand)));
    });
  }
  T fetch_and(T value, Order order = Order::seq_cst) {
    return change(value, order, [](std::uint64_t old, std::uint64_t operand) {
      return detail::bits_of(static_cast<T>(detail::value_of<T>(old) & detail::value_of<T>(operand)));
    });
  }
  T fetch_or(T value, Order order = Order::seq_cst) {
    return change(value, order, [](std::uint64_t old, std::uint64_t operand) {
      return detail::bits_of(static_cast<T>(detail::value_of<T>(old) | detail::value_of<T>(operand)));
    });
  }
  bool compare_exchange_strong(T& expected, T value, Order success = Order::seq_cst, Order failure = Order::seq_cst) {
    return exchange_if(expected, value, success, failure, false);
  }
  bool compare_exchange_weak(T& expected, T value, Order success = Order::seq_cst, Order failure = Order::seq_cst) {
    return exchange_if(expected, value, success, failure, true);
  }

 private:
  explorer::Operation prepare(explorer::Kind kind, Order order) const {
    explorer::Operation operation;
    operation.kind = kind;
    operation.order = order;
    operation.object = detail::read_id(id_);
    return operation;
  }
  T change(T value, Order order, std::uint64_t (*function)(std::uint64_t, std::uint64_t)) {
    explorer::Operation operation = prepare(explorer::Kind::rmw, order);
    operation.operand = detail::bits_of(value);
    operation.change = function;
    return detail::value_of<T>(explorer::Engine::here().perform(operation));
  }
  bool exchange_if(T& expected, T value, Order success, Order failure, bool weak) {
    explorer::Operation operation = prepare(explorer::Kind::cas, success);
    operation.failure = failure;
    operation.may_fail_spuriously = weak;
    operation.expected = detail::bits_of(expected);
    operation.operand = detail::bits_of(value);
    explorer::Engine& engine = explorer::Engine::here();
    const T found = detail::value_of<T>(engine.perform(operation));
    if (engine.succeeded()) return true;
    expected = found;
    return false;
  }

  std::uint32_t id_;
};

// Plain memory, whose races are reported.
template <class T>
class Cell {
 public:
  explicit Cell(T value = T()) : value_(std::move(value)), id_(explorer::Engine::here().make_plain()) {}
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;
  ~Cell() { explorer::Engine::here().end_plain(detail::read_id(id_)); }

  T get() const {
    explorer::Engine::here().read_plain(detail::read_id(id_));
    return value_;
  }
  void set(T value) {
    explorer::Engine::here().write_plain(detail::read_id(id_));
    value_ = std::move(value);
  }

 private:
  T value_;
  std::uint32_t id_;
};

class Mutex {
 public:
  Mutex() : id_(explorer::Engine::here().make_mutex()) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { explorer::Engine::here().end_mutex(id_); }

  void lock() {
    if (explorer::Engine::here().owns(id_)) explorer::Engine::here().fail("a thread locks a mutex that it has");
    perform(explorer::Kind::lock);
  }
  void unlock() { perform(explorer::Kind::unlock); }

 private:
  friend class Condition;
  void perform(explorer::Kind kind) {
    explorer::Operation operation;
    operation.kind = kind;
    operation.object = id_;
    explorer::Engine::here().perform(operation);
  }

  std::uint32_t id_;
};

class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

// std::condition_variable. Wakes spuriously as often as ExploreOptions::spurious says.
class Condition {
 public:
  Condition() : id_(explorer::Engine::here().make_condition()) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition() { explorer::Engine::here().end_condition(id_); }

  void wait(Mutex& mutex) {
    perform(explorer::Kind::wait, mutex.id_);
    perform(explorer::Kind::relock, mutex.id_);
  }
  void notify_one() { perform(explorer::Kind::notify_one, explorer::none); }
  void notify_all() { perform(explorer::Kind::notify_all, explorer::none); }

 private:
  void perform(explorer::Kind kind, std::uint32_t mutex) {
    explorer::Operation operation;
    operation.kind = kind;
    operation.object = id_;
    operation.mutex = mutex;
    explorer::Engine::here().perform(operation);
  }

  std::uint32_t id_;
};

// std::thread, at most 7 of them.
class Thread {
 public:
  template <class Body>
  explicit Thread(Body body) : id_(explorer::Engine::here().spawn(std::move(body))) {}
  Thread(Thread&& other) noexcept : id_(std::exchange(other.id_, explorer::none)) {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() {
    if (id_ != explorer::none) explorer::Engine::here().fail("a thread is not joined");
  }

  void join() {
    explorer::Operation operation;
    operation.kind = explorer::Kind::join;
    operation.object = std::exchange(id_, explorer::none);
    explorer::Engine::here().perform(operation);
  }

 private:
  std::uint32_t id_;
};

// In a loop that waits for what another thread stores: goes on when there is something new to read.
inline void yield() {
  explorer::Operation operation;
  operation.kind = explorer::Kind::yield;
  explorer::Engine::here().perform(operation);
}

// What a model keeps beyond its execution, it keeps outside: then its memory is not the model's.
template <class Function>
void outside(Function function) {
  const explorer::Engine::Outside guard(explorer::Engine::here());
  function();
}

// Ends the exploration when it does not hold.
inline void check(bool holds, const char* what) {
  if (!holds) explorer::Engine::here().fail(what);
}

}  // namespace assay::testkit::modelled
