// Mutex<T>: a T that one task at a time may use, also across a co_await. Fair.
#pragma once

#include <optional>
#include <utility>

#include "assay/future.hpp"
#include "assay/semaphore.hpp"

namespace assay {

// The executor's thread only. Must outlive its guards and what waits on it, or aborts.
template <class T>
class Mutex {
 public:
  template <class... Args>
  explicit Mutex(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
  explicit Mutex(T value) : value_(std::move(value)) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Holds the lock, and releases it when destroyed.
  class [[nodiscard]] Guard {
   public:
    Guard(Guard&& other) noexcept : permit_(std::move(other.permit_)), value_(std::exchange(other.value_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      Guard taken(std::move(other));
      std::swap(permit_, taken.permit_);
      std::swap(value_, taken.value_);
      return *this;
    }
    T& operator*() const noexcept ASSAY_LIFETIMEBOUND { return target(); }
    T* operator->() const noexcept ASSAY_LIFETIMEBOUND { return &target(); }

   private:
    friend class Mutex;
    T& target() const noexcept {
      ASSAY_CHECK(value_ != nullptr, "a moved-from Mutex::Guard was used");
      return *value_;
    }
    Guard(Semaphore::Permit permit, T& value) noexcept : permit_(std::move(permit)), value_(&value) {}
    Semaphore::Permit permit_;
    T* value_;
  };

  class [[nodiscard]] Lock {
   public:
    using Output = Guard;
    explicit Lock(Mutex& mutex) noexcept : mutex_(&mutex), acquire_(mutex.semaphore_.acquire()) {}

    Poll<Guard> poll(Context& context) {
      Poll<Semaphore::Permit> permit = acquire_.poll(context);
      if (permit.is_pending()) return Pending;
      return Ready(Guard(std::move(permit).take(), mutex_->value_));
    }

   private:
    Mutex* mutex_;
    Semaphore::Acquire acquire_;
  };

  Lock lock() noexcept ASSAY_LIFETIMEBOUND { return Lock(*this); }

  // Without waiting.
  std::optional<Guard> try_lock() noexcept {
    std::optional<Semaphore::Permit> permit = semaphore_.try_acquire();
    if (!permit) return std::nullopt;
    return Guard(std::move(*permit), value_);
  }

 private:
  T value_;
  Semaphore semaphore_{1};  // goes first: aborts while the value is in use
};

}  // namespace assay
