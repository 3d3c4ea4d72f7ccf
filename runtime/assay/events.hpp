// The leaf futures of the reactor: TimeEvent waits for an instant, FdEvent for a file descriptor. No allocation.
#pragma once

#include <utility>

#include "assay/clock.hpp"
#include "assay/executor.hpp"
#include "assay/future.hpp"
#include "assay/reactor.hpp"
#include "assay/timer_queue.hpp"

namespace assay {

namespace detail {

// The executor that polls; aborts when there is none.
inline Executor& executor_of(Context& context, const char* message) noexcept {
  Executor* const executor = context.executor();
  ASSAY_CHECK(executor != nullptr, message);
  return *executor;
}

}  // namespace detail

// Ready at the first look at the clock at or after `deadline`: never early. Past deadlines are Ready after one trip through
// the queue. Polled inside an Executor only; may outlive it, and then never becomes Ready.
class [[nodiscard("a TimeEvent does not wait until it is awaited")]] TimeEvent {
 public:
  using Output = void;

  explicit TimeEvent(Instant deadline) noexcept : deadline_(deadline) {}
  TimeEvent(TimeEvent&& other) noexcept : deadline_(other.deadline_) {
    ASSAY_CHECK(!other.timer_.is_armed() && !other.timer_.has_fired(), moved_after_poll);
  }
  TimeEvent& operator=(TimeEvent&&) = delete;

  ASSAY_RUNS_OTHERS Poll<void> poll(Context& context) ASSAY_NONBLOCKING {
    TimerQueue& timers =
        detail::executor_of(context, "a timer was polled outside an Executor (in run()?); it needs Executor::block_on").timers();
    ASSAY_CHECK(!done_, polled_after_ready);
    if (timer_.has_fired()) {
      done_ = true;
      return Ready();
    }
    if (timers.owns(timer_)) {
      TimerQueue::update(timer_, context.local_waker());
    } else {
      timers.arm(timer_, deadline_, context.local_waker());
    }
    return Pending;
  }

  Instant deadline() const noexcept { return deadline_; }

 private:
  Instant deadline_;
  Timer timer_;
  bool done_ = false;
};

// Ready when `fd` is ready for `interest`, or has an error, or hung up, or is no open file descriptor. The answer is a hint:
// use non-blocking calls, and wait again at EAGAIN. Several may wait for one fd. The fd stays the caller's, who keeps it
// open while this waits: a number that is closed and reused meanwhile may be reported ready for the other file.
class [[nodiscard("an FdEvent does not wait until it is awaited")]] FdEvent {
 public:
  using Output = Readiness;

  FdEvent(int fd, Interest interest) noexcept : wait_(fd, interest) {}
  FdEvent(FdEvent&& other) noexcept : wait_(other.wait_.fd(), other.wait_.interest()) {
    ASSAY_CHECK(other.wait_.reactor() == nullptr && !other.wait_.is_ready(), moved_after_poll);
  }
  FdEvent& operator=(FdEvent&&) = delete;

  ASSAY_RUNS_OTHERS Poll<Readiness> poll(Context& context) ASSAY_NONBLOCKING {
    Reactor& reactor =
        detail::executor_of(context, "an FdEvent was polled outside an Executor (in run()?); it needs Executor::block_on")
            .reactor();
    ASSAY_CHECK(!done_, polled_after_ready);
    if (wait_.is_ready()) {
      done_ = true;
      return Ready(wait_.readiness());
    }
    if (wait_.reactor() == &reactor) {
      Reactor::update(wait_, context.local_waker());
    } else {
      wait_.stop();
      reactor.watch(wait_, context.local_waker());
    }
    return Pending;
  }

 private:
  FdWait wait_;
  bool done_ = false;
};

}  // namespace assay
