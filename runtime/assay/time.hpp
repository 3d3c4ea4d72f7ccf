// Waiting for time: sleep, sleep_until, interval, timeout. All need an Executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "assay/clock.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/future.hpp"
#include "assay/loan.hpp"

namespace assay {

// Ready once `delay` has passed since its first poll. Never early.
class [[nodiscard("a sleep does not wait until it is awaited")]] Sleep {
 public:
  using Output = void;
  explicit Sleep(Duration delay) noexcept : delay_(delay) {}
  Sleep(Sleep&&) = default;
  Sleep& operator=(Sleep&&) = delete;

  ASSAY_RUNS_OTHERS Poll<void> poll(Context& context) ASSAY_NONBLOCKING {
    if (!event_) {
      Executor& executor = detail::executor_of(context, "sleep() was polled outside an Executor (in run()?)");
      event_.emplace(saturating_add(executor.now(), delay_));
    }
    return event_->poll(context);
  }

 private:
  Duration delay_;
  std::optional<TimeEvent> event_;
};

// Any duration: what is too long for nanoseconds saturates (292 years), zero and negative ones yield once.
template <class Rep, class Period>
Sleep sleep(std::chrono::duration<Rep, Period> delay) noexcept {
  return Sleep(saturating_duration(delay));
}

inline TimeEvent sleep_until(Instant deadline) noexcept { return TimeEvent(deadline); }

// What an Interval does about the ticks that nobody awaited in time.
enum class MissedTicks : std::uint8_t {
  burst,  // catches up: they come at once, one after the other
  delay,  // the next tick is one period after the late one
  skip,   // they are left out: the next tick is at the next multiple of the period
};

// A tick at each period, the first at once. Keep it, and co_await interval.tick(), one at a time.
class Interval : public detail::Lender {
 public:
  explicit Interval(Duration period, MissedTicks missed = MissedTicks::burst) noexcept : period_(period), missed_(missed) {
    ASSAY_CHECK(period > Duration::zero(), "interval() was given a period that is not positive");
  }
  ~Interval() { ASSAY_CHECK(!is_lent(), "an Interval was destroyed while a tick() of it waits, or is about to"); }
  Interval(const Interval&) = delete;
  Interval& operator=(const Interval&) = delete;

  // Yields the instant at which this tick was due.
  class [[nodiscard]] Tick {
   public:
    using Output = Instant;
    explicit Tick(Interval& interval) noexcept : interval_(interval) {}
    Tick(Tick&&) = default;
    Tick& operator=(Tick&&) = delete;

    ASSAY_RUNS_OTHERS Poll<Instant> poll(Context& context) ASSAY_NONBLOCKING {
      Executor& executor = detail::executor_of(context, "interval() was polled outside an Executor (in run()?)");
      if (!event_) {
        if (!interval_->next_) interval_->next_ = executor.now();
        event_.emplace(*interval_->next_);
      }
      if (event_->poll(context).is_pending()) return Pending;
      const Instant due = interval_->ticked(event_->deadline(), executor.now());
      interval_.end();
      return Ready(Instant(due));
    }

   private:
    detail::Loan<Interval> interval_;
    std::optional<TimeEvent> event_;
  };

  // The interval must outlive the tick.
  Tick tick() noexcept ASSAY_LIFETIMEBOUND { return Tick(*this); }

  Duration period() const noexcept { return period_; }

 private:
  Instant ticked(Instant due, Instant now) noexcept {
    switch (missed_) {
      case MissedTicks::burst: next_ = saturating_add(due, period_); break;
      case MissedTicks::delay: next_ = saturating_add(now, period_); break;
      case MissedTicks::skip: {
        const Duration late = saturating_difference(now, due);
        next_ = saturating_add(saturating_add(now, -(late % period_)), period_);
        break;
      }
    }
    return due;
  }

  Duration period_;
  MissedTicks missed_;
  std::optional<Instant> next_;
};

template <class Rep, class Period>
Interval interval(std::chrono::duration<Rep, Period> period, MissedTicks missed = MissedTicks::burst) noexcept {
  return Interval(saturating_duration(period), missed);
}

// Polls `future` first, then the clock. Yields the future's value, or nothing when `delay` has passed since its first poll.
// The future and the timer are gone as soon as it is decided, or the future has thrown.
template <Future F>
class [[nodiscard]] Timeout {
 public:
  using Output = std::optional<Stored<typename F::Output>>;

  template <class G>
  Timeout(Duration delay, G&& future) : race_(std::in_place, std::forward<G>(future), delay) {}
  Timeout(Timeout&&) = default;
  Timeout& operator=(Timeout&&) = delete;

  Poll<Output> poll(Context& context) {
    ASSAY_CHECK(race_.has_value(), polled_after_ready);
    detail::EndUnlessPending end(race_);
    auto result = race_->future.poll(context);
    if (result.is_ready()) return Ready(Output(std::move(result).take_stored()));
    if (race_->sleep.poll(context).is_ready()) return Ready(Output());
    return end.pending();
  }

 private:
  struct Race {
    template <class G>
    Race(G&& given, Duration delay) : future(std::forward<G>(given)), sleep(delay) {}
    F future;
    Sleep sleep;
  };

  std::optional<Race> race_;
};

// (By value, so that compilers see, and refuse, a coroutine whose arguments will be gone.)
template <class Rep, class Period, Future F>
Timeout<F> timeout(std::chrono::duration<Rep, Period> delay, F future ASSAY_LIFETIMEBOUND) {
  return Timeout<F>(saturating_duration(delay), std::move(future));
}

}  // namespace assay
