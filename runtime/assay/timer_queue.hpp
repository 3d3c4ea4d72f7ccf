// The timers of one executor: what waits for which instant, ordered by deadline, then by arming.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "assay/intrusive_heap.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/base/check.hpp"
#include "assay/clock.hpp"

namespace assay {

// A member of whatever waits for time. Leaves its queue when destroyed.
class Timer final : public HeapNode<Timer> {
 public:
  Timer() noexcept = default;
  ASSAY_RUNS_OTHERS ~Timer() ASSAY_NONBLOCKING {
    if (is_linked()) unlink();  // before its waker is dropped
  }

  bool is_armed() const noexcept { return is_linked(); }
  bool has_fired() const noexcept { return fired_; }
  // For the heap: it will fire soon.
  void fetch_ahead() const noexcept { waker_.fetch_ahead(); }
  ASSAY_RUNS_OTHERS void disarm() noexcept ASSAY_NONBLOCKING {
    if (is_linked()) unlink();
    LocalWaker gone = std::move(waker_);
  }

 private:
  friend class TimerQueue;
  LocalWaker waker_;
  bool fired_ = false;
};

// The executor's thread only. The queue may go before its timers: they then never fire.
class TimerQueue {
 public:
  TimerQueue() noexcept = default;
  explicit TimerQueue(std::size_t few) noexcept : heap_(few) {}  // as IntrusiveHeap's
  ~TimerQueue() { ASSAY_CHECK(!firing_, "a TimerQueue was destroyed by a waker that it was waking"); }
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  // Wakes `waker` at the first fire(now) with now >= deadline. Re-arming an armed timer moves it. O(1), no allocation.
  ASSAY_RUNS_OTHERS void arm(Timer& timer, Instant deadline, const LocalWaker& waker) ASSAY_NONBLOCKING {
    LocalWaker kept = waker;
    if (timer.is_linked()) timer.unlink();
    timer.fired_ = false;
    std::swap(timer.waker_, kept);
    heap_.push(timer, std::max(deadline, not_before_).time_since_epoch().count());
  }

  // The waker of an armed timer, when its task is polled with another one.
  ASSAY_RUNS_OTHERS static void update(Timer& timer, const LocalWaker& waker) ASSAY_NONBLOCKING {
    if (timer.waker_.will_wake(waker)) return;
    LocalWaker kept = waker;
    std::swap(timer.waker_, kept);
  }

  bool owns(const Timer& timer) const noexcept { return timer.heap() == &heap_; }

  // The earliest deadline, if any. O(1).
  std::optional<Instant> next_deadline() const noexcept {
    const Timer* const first = heap_.front();
    return first != nullptr ? std::optional(Instant(Duration(first->key()))) : std::nullopt;
  }

  // Fires the timers whose deadline has come, earliest first, at most so many. Returns how many. O(log n) for the call and O(1)
  // for each, amortised. What is armed from then on queues behind all that are due, also in the past: so what wakers arm
  // meanwhile waits for the next call, and this comes to an end. A waker may disarm, re-arm and destroy any timer, and call this.
  ASSAY_RUNS_OTHERS std::size_t fire(Instant now, std::size_t most = std::numeric_limits<std::size_t>::max()) ASSAY_NONBLOCKING {
    std::size_t fired = 0;
    const std::int64_t limit = now.time_since_epoch().count();
    const bool was_firing = std::exchange(firing_, true);
    const Instant outer = std::exchange(not_before_, std::max(not_before_, now));
    heap_.gather(limit);
    for (Timer* timer = heap_.run_front(); timer != nullptr && timer->key() <= limit; timer = heap_.run_front()) {
      if (fired == most) break;
      timer->unlink();
      timer->fired_ = true;
      ++fired;
      LocalWaker waker = std::move(timer->waker_);
      std::move(waker).wake();
    }
    if (heap_.run_front() == nullptr) not_before_ = was_firing ? outer : Instant::min();
    firing_ = was_firing;
    return fired;
  }

  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  std::size_t check_deep() const noexcept { return heap_.check_deep(); }

 private:
  IntrusiveHeap<Timer> heap_;
  bool firing_ = false;                  // inside fire()
  Instant not_before_ = Instant::min();  // the latest `now` of a call that is under way, or has left some that are due
};

}  // namespace assay
