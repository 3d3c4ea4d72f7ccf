// TimerQueue against a list of (deadline, order of arming). Wakers are the test's own: each logs its wake and how the queue
// looks at that moment, and may then do something to a timer, or fire again, while the queue is firing. The model's option
// says how few timers the queue sorts by insertion: with 1, two that are due take the way that thousands take.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "assay/timer_queue.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

struct TimerState {
  std::optional<std::size_t> queue;
  Instant deadline{};
  std::uint64_t order = 0;
  bool second_waker = false;
  bool fired = false;
  bool is_due = false;  // a call of fire() found it so
};

// What a timer's waker does when it is woken, once.
struct TimerPlan {
  std::uint8_t what = 0;  // nothing, destroy, disarm, arm, fire
  std::size_t target = 0;
  Instant deadline{};
};

class TimerModel {
 public:
  static constexpr std::size_t timer_count = 8;
  static constexpr std::size_t queue_count = 2;

  enum Op : std::uint8_t { make_timer, destroy_timer, make_queue, destroy_queue, arm, update, disarm, fire, plan };
  static constexpr std::array<const char*, 9> names{"make_timer", "destroy_timer", "make_queue", "destroy_queue", "arm",
                                                    "update",     "disarm",        "fire",       "plan"};

  explicit TimerModel(std::uint8_t option) : few(1 + option % std::size_t{4}) { queues.fill(true); }

  struct Wake {
    std::size_t timer = 0;
    bool second_waker = false;
    std::size_t left = 0;  // in the queue, and its next deadline
    std::optional<Instant> next{};
    bool operator==(const Wake&) const = default;
  };

  static std::size_t timer_of(const Step& step) { return step.a % timer_count; }
  static std::size_t queue_of(const Step& step) { return step.b % queue_count; }
  static bool is_second(const Step& step) { return step.b / 2 % 2 == 1; }
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  static std::size_t most_of(const Step& step) { return step.a % 3 == 0 ? step.a / std::size_t{3} % 4 : all; }
  static Instant instant_of(const Step& step) {
    static constexpr std::int64_t max = Duration::max().count();
    static constexpr std::array<std::int64_t, 6> extremes{-max - 1, -max, max - 1, max, std::int64_t{1} << 32, -1};
    return Instant(Duration(step.c < extremes.size() ? extremes.at(step.c) : step.c % 12));
  }

  bool allows(const Step& step) const {
    const bool has_timer = timers.at(timer_of(step)).has_value();
    const bool has_queue = queues.at(queue_of(step));
    switch (step.op) {
      case make_timer: return !has_timer;
      case make_queue: return !has_queue;
      case destroy_queue:
      case fire: return has_queue;
      case arm: return has_timer && has_queue;
      case update: return has_timer && timers.at(timer_of(step))->queue;
      case plan: return true;
      default: return has_timer;
    }
  }

  void apply(const Step& step) {
    auto& timer = timers.at(timer_of(step));
    log.clear();
    fired = 0;
    switch (step.op) {
      case make_timer: timer.emplace(); break;
      case destroy_timer: timer.reset(); break;
      case make_queue: queues.at(queue_of(step)) = true; break;
      case destroy_queue:
        queues.at(queue_of(step)) = false;
        earliest.at(queue_of(step)) = Instant::min();
        for (auto& each : timers) {
          if (each && each->queue == queue_of(step)) each->queue.reset();
        }
        break;
      case arm: arm_timer(timer_of(step), queue_of(step), instant_of(step), is_second(step)); break;
      case update: timer->second_waker = is_second(step); break;
      case disarm: timer->queue.reset(); break;
      case fire: fired = fire_all(queue_of(step), instant_of(step), most_of(step)); break;
      default: plans.at(timer_of(step)) = TimerPlan{static_cast<std::uint8_t>(step.b % 5), step.b / std::size_t{5} % timer_count,
                                               instant_of(step)};
    }
  }

  std::size_t size(std::size_t queue) const {
    return static_cast<std::size_t>(
        std::count_if(timers.begin(), timers.end(), [&](const auto& timer) { return timer && timer->queue == queue; }));
  }

  // The timer that fires next.
  std::optional<std::size_t> first(std::size_t queue) const {
    std::optional<std::size_t> best;
    for (std::size_t at = 0; at < timer_count; ++at) {
      if (!timers.at(at) || timers.at(at)->queue != queue) continue;
      const auto key = [&](std::size_t timer) { return std::pair(timers.at(timer)->deadline, timers.at(timer)->order); };
      if (!best || key(at) < key(*best)) best = at;
    }
    return best;
  }

  std::array<std::optional<TimerState>, timer_count> timers{};
  std::array<TimerPlan, timer_count> plans{};
  std::array<bool, queue_count> queues{};
  std::size_t few;
  std::vector<Wake> log;  // what the last step woke
  std::size_t fired = 0;  // what the last step's fire() returns
  std::uint64_t arms = 0;

 private:
  std::array<Instant, queue_count> earliest{Instant::min(), Instant::min()};
  std::size_t nesting = 0;

  void arm_timer(std::size_t timer, std::size_t queue, Instant deadline, bool second) {
    timers.at(timer) = TimerState{queue, std::max(deadline, earliest.at(queue)), arms++, second, false};
  }

  // What is armed meanwhile queues behind what is due, and is for the next call, which a waker may make. What is found due and
  // does not fire stays ahead of what is armed later.
  std::size_t fire_all(std::size_t queue, Instant now, std::size_t most = all) {
    ++nesting;
    const Instant outer = std::exchange(earliest.at(queue), std::max(earliest.at(queue), now));
    for (auto& timer : timers) {
      if (timer && timer->queue == queue && timer->deadline <= now) timer->is_due = true;
    }
    std::size_t count = 0;
    while (const auto next = first(queue)) {
      if (count == most || !timers.at(*next)->is_due || timers.at(*next)->deadline > now) break;
      fire_one(*next, queue);
      ++count;
    }
    --nesting;
    const bool is_left = std::any_of(timers.begin(), timers.end(),
                                     [&](const auto& timer) { return timer && timer->queue == queue && timer->is_due; });
    if (!is_left) earliest.at(queue) = nesting > 0 ? outer : Instant::min();
    return count;
  }

  void fire_one(std::size_t which, std::size_t queue) {
    TimerState& timer = *timers.at(which);
    timer.queue.reset();
    timer.fired = true;
    const auto next = first(queue);
    log.push_back({which, timer.second_waker, size(queue), next ? std::optional(timers.at(*next)->deadline) : std::nullopt});
    const TimerPlan todo = std::exchange(plans.at(which), TimerPlan{});
    auto& target = timers.at(todo.target);
    if (todo.what == 4) fire_all(queue, todo.deadline);
    if (!target) return;
    if (todo.what == 1) target.reset();
    if (todo.what == 2) target->queue.reset();
    if (todo.what == 3) arm_timer(todo.target, queue, todo.deadline, false);
  }
};

class TimerSystem {
 public:
  TimerSystem(Ledger& ledger, const TimerModel& model) : ledger_(ledger) {
    for (auto& queue : queues_) queue = std::make_unique<TimerQueue>(model.few);
    for (std::size_t timer = 0; timer < TimerModel::timer_count; ++timer) {
      for (const bool second : {false, true}) {
        counters(timer).at(second).on_wake = [this, timer, second] { woken(timer, second); };
        counters(timer).at(second).on_drop = [this] { dropped(); };
        wakers_.push_back(counters(timer).at(second).waker());
      }
    }
  }
  ~TimerSystem() {
    firing_ = nullptr;
    expected_size_.reset();
    for (auto& timer : timers_) timer.reset();
    wakers_.clear();
    for (std::size_t timer = 0; timer < TimerModel::timer_count; ++timer) {
      for (const auto& each : counters(timer)) {
        ledger_.values_made += each.clones() + 1;
        ledger_.values_destroyed += each.drops();
      }
    }
  }
  TimerSystem(const TimerSystem&) = delete;
  TimerSystem& operator=(const TimerSystem&) = delete;

  void run(const Step& step, const TimerModel& model) {
    const std::size_t index = TimerModel::timer_of(step);
    auto& timer = timers_.at(index);
    auto& queue = queues_.at(TimerModel::queue_of(step));
    log_.clear();
    switch (step.op) {
      case TimerModel::make_timer: timer = std::make_unique<Timer>(); break;
      case TimerModel::destroy_timer:
      case TimerModel::disarm: {
        expected_size_ = model.size(0) + model.size(1);
        step.op == TimerModel::disarm ? timer->disarm() : timer.reset();
        expected_size_.reset();
        break;
      }
      case TimerModel::make_queue: queue = std::make_unique<TimerQueue>(model.few); break;
      case TimerModel::destroy_queue: queue.reset(); break;
      case TimerModel::arm: queue->arm(*timer, TimerModel::instant_of(step), waker(index, TimerModel::is_second(step))); break;
      case TimerModel::update: TimerQueue::update(*timer, waker(index, TimerModel::is_second(step))); break;
      case TimerModel::fire: {
        firing_ = queue.get();
        const std::size_t fired = queue->fire(TimerModel::instant_of(step), TimerModel::most_of(step));
        firing_ = nullptr;
        expect(fired == model.fired, "how many timers fired");
        break;
      }
      default: plans_ = model.plans; break;
    }
  }

  void compare(const TimerModel& model) const {
    expect(!dropped_in_queue_, "a timer's waker was dropped while the timer was still queued");
    expect(log_ == model.log, "which wakers were woken, in which order, and what was left then");
    for (std::size_t queue = 0; queue < TimerModel::queue_count; ++queue) {
      if (!model.queues.at(queue)) continue;
      const TimerQueue& mine = *queues_.at(queue);
      expect(mine.check_deep() == model.size(queue) && mine.size() == model.size(queue), "the number of timers");
      expect(mine.empty() == (mine.size() == 0), "empty()");
      const auto first = model.first(queue);
      expect(mine.next_deadline() == (first ? std::optional(model.timers.at(*first)->deadline) : std::nullopt),
             "next_deadline()");
    }
    for (std::size_t index = 0; index < TimerModel::timer_count; ++index) {
      const auto& expected = model.timers.at(index);
      expect((timers_.at(index) != nullptr) == expected.has_value(), "which timers exist");
      if (!expected) continue;
      const Timer& timer = *timers_.at(index);
      expect(timer.is_armed() == expected->queue.has_value(), "is_armed()");
      expect(timer.has_fired() == expected->fired, "has_fired()");
      for (std::size_t queue = 0; queue < TimerModel::queue_count; ++queue) {
        if (model.queues.at(queue)) expect(queues_.at(queue)->owns(timer) == (expected->queue == queue), "owns()");
      }
    }
  }

 private:
  std::array<CountingWaker, 2>& counters(std::size_t timer) { return counters_.at(timer); }
  LocalWaker waker(std::size_t timer, bool second) const { return wakers_.at(timer * 2 + (second ? 1 : 0)); }

  // In the middle of fire().
  void woken(std::size_t timer, bool second) {
    log_.push_back({timer, second, firing_->check_deep(), firing_->next_deadline()});
    const TimerPlan todo = std::exchange(plans_.at(timer), TimerPlan{});
    auto& target = timers_.at(todo.target);
    if (todo.what == 4) firing_->fire(todo.deadline);
    if (target == nullptr) return;
    if (todo.what == 1) target.reset();
    if (todo.what == 2) target->disarm();
    if (todo.what == 3) firing_->arm(*target, todo.deadline, waker(todo.target, false));
  }

  // A waker goes only when its timer has left the queue.
  void dropped() {
    if (!expected_size_) return;
    std::size_t size = 0;
    for (const auto& queue : queues_) size += queue != nullptr ? queue->check_deep() : 0;
    if (size != *expected_size_) dropped_in_queue_ = true;
  }

  Ledger& ledger_;
  std::array<std::array<CountingWaker, 2>, TimerModel::timer_count> counters_;
  std::vector<LocalWaker> wakers_;
  std::array<std::unique_ptr<TimerQueue>, TimerModel::queue_count> queues_;
  std::array<std::unique_ptr<Timer>, TimerModel::timer_count> timers_;
  std::array<TimerPlan, TimerModel::timer_count> plans_{};
  std::vector<TimerModel::Wake> log_;
  TimerQueue* firing_ = nullptr;
  std::optional<std::size_t> expected_size_;
  bool dropped_in_queue_ = false;
};

}  // namespace assay::testkit
