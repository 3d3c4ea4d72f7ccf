// Time: instants on a monotonic clock, arithmetic that saturates, and clocks that a test can drive.
#pragma once

#include <chrono>
#include <cstdint>
#include <ratio>
#include <type_traits>

#include "assay/audited/effects.hpp"

namespace assay {

// Nanoseconds. Fractions are rounded up when a duration is converted (never early).
using Duration = std::chrono::nanoseconds;

// A point of time of std::chrono::steady_clock, or of the virtual clock that stands in for it.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Any duration in nanoseconds, rounded up; what is too large becomes Duration::max() or min(). NaN becomes zero.
template <class Rep, class Period>
constexpr Duration saturating_duration(std::chrono::duration<Rep, Period> duration) noexcept {
  using Factor = std::ratio_divide<Period, std::nano>;
  if constexpr (std::is_integral_v<Rep> && Factor::den == 1) {
    std::int64_t whole = 0;
    if (!__builtin_mul_overflow(duration.count(), Factor::num, &whole)) return Duration(whole);
    return duration > duration.zero() ? Duration::max() : Duration::min();
  } else {
    const long double exact = std::chrono::duration<long double, std::nano>(duration).count();
    if (exact >= static_cast<long double>(Duration::max().count())) return Duration::max();
    if (exact <= static_cast<long double>(Duration::min().count())) return Duration::min();
    if (!(exact == exact)) return Duration::zero();
    const auto whole = static_cast<std::int64_t>(exact);
    return Duration(static_cast<long double>(whole) < exact ? whole + 1 : whole);
  }
}

// `from + delay`, or the last (first) instant there is.
constexpr Instant saturating_add(Instant from, Duration delay) noexcept {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(from.time_since_epoch().count(), delay.count(), &sum)) {
    return delay > Duration::zero() ? Instant::max() : Instant::min();
  }
  return Instant(Duration(sum));
}

// `to - from`, or the longest (shortest) duration there is.
constexpr Duration saturating_difference(Instant to, Instant from) noexcept {
  std::int64_t difference = 0;
  if (__builtin_sub_overflow(to.time_since_epoch().count(), from.time_since_epoch().count(), &difference)) {
    return to > from ? Duration::max() : Duration::min();
  }
  return Duration(difference);
}

// What an executor reads the time from. Used on the executor's thread only; must outlive the executor.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  virtual Instant now() noexcept ASSAY_NONBLOCKING = 0;

  // The executor has nothing to do before `next`. True: the clock has jumped there. False: wait for it in real time, if
  // is_virtual() is false; for ever otherwise.
  virtual bool skip_to(Instant next) noexcept = 0;
  virtual bool is_virtual() const noexcept = 0;
};

// The machine's monotonic clock.
class SteadyClock final : public Clock {
 public:
  // (No system call where the kernel shares its clock with processes.)
  Instant now() noexcept ASSAY_NONBLOCKING override {
    return std::chrono::time_point_cast<Duration>(ASSAY_UNCHECKED(std::chrono::steady_clock::now()));
  }
  bool skip_to(Instant) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
};

// A clock that stands still until it is told. With `auto_advance` (the default) Executor::block_on jumps to the next
// deadline when there is nothing else to do, so that a day passes in no time.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(Instant start = Instant(Duration::zero()), bool auto_advance = true) noexcept
      : now_(start), auto_advance_(auto_advance) {}

  Instant now() noexcept ASSAY_NONBLOCKING override { return now_; }
  void advance(Duration by) noexcept { now_ = saturating_add(now_, by); }
  void set(Instant now) noexcept { now_ = now; }

  bool skip_to(Instant next) noexcept override {
    if (!auto_advance_) return false;
    if (next > now_) now_ = next;
    return true;
  }
  bool is_virtual() const noexcept override { return true; }

 private:
  Instant now_;
  bool auto_advance_;
};

}  // namespace assay
