// interval(): ticks at each period, and what happens to the ones that nobody awaited in time.
#include <cstdint>
#include <optional>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/executor.hpp"
#include "assay/run.hpp"
#include "assay/time.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Duration;
using assay::Executor;
using assay::Instant;
using assay::Interval;
using assay::JoinHandle;
using assay::MissedTicks;
using assay::VirtualClock;
using assay::test::check_dies;
using assay::test::State;
using assay::test::state_of;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

// When a tick came, and when it was due.
struct Seen {
  std::int64_t now = 0;
  std::int64_t due = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Async<void> tick_for_ever(Interval& interval, VirtualClock& clock, std::vector<Seen>& seen) {
  for (;;) {
    const Instant due = co_await interval.tick();
    seen.push_back({clock.now().time_since_epoch().count(), due.time_since_epoch().count()});
  }
}

// Ticks of period 10 from 100 on, looked at only at the given instants.
std::vector<Seen> ticks_at(MissedTicks missed, const std::vector<std::int64_t>& looks) {
  VirtualClock clock(at(100), false);
  Executor executor({.clock = &clock});
  Interval interval = assay::interval(10ns, missed);
  CHECK(interval.period() == 10ns);
  std::vector<Seen> seen;
  JoinHandle<void> task = executor.spawn(tick_for_ever, std::ref(interval), std::ref(clock), std::ref(seen));
  for (const std::int64_t look : looks) {
    clock.set(at(look));
    executor.run_until_stalled();
    CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = executor.stats().polls});
    CHECK(executor.stats().polls == seen.size() + 1);  // no poll without a tick
  }
  return seen;
}

}  // namespace

TEST_CASE("an interval ticks at once, then each period, and keeps its phase", "[time]") {
  for (const MissedTicks missed : {MissedTicks::burst, MissedTicks::delay, MissedTicks::skip}) {
    CHECK(ticks_at(missed, {100, 109, 110, 119, 120, 130}) ==
          std::vector<Seen>{{100, 100}, {110, 110}, {120, 120}, {130, 130}});
  }
}

TEST_CASE("missed ticks: burst makes up for all of them, one after the other", "[time]") {
  CHECK(ticks_at(MissedTicks::burst, {100, 135, 140}) ==
        std::vector<Seen>{{100, 100}, {135, 110}, {135, 120}, {135, 130}, {140, 140}});
}

TEST_CASE("missed ticks: delay counts from the late one", "[time]") {
  CHECK(ticks_at(MissedTicks::delay, {100, 135, 144, 145, 155}) ==
        std::vector<Seen>{{100, 100}, {135, 110}, {145, 145}, {155, 155}});
}

TEST_CASE("missed ticks: skip leaves them out and keeps the phase", "[time]") {
  CHECK(ticks_at(MissedTicks::skip, {100, 135, 139, 140, 150}) ==
        std::vector<Seen>{{100, 100}, {135, 110}, {140, 140}, {150, 150}});
  CHECK(ticks_at(MissedTicks::skip, {100, 130, 139, 140}) == std::vector<Seen>{{100, 100}, {130, 110}, {140, 140}});
}

TEST_CASE("a tick that is dropped before it comes is not lost", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  Interval interval = assay::interval(10ns);
  std::vector<Seen> seen;
  std::optional<JoinHandle<void>> task(
      executor.spawn(tick_for_ever, std::ref(interval), std::ref(clock), std::ref(seen)));
  executor.run_until_stalled();
  task.reset();
  CHECK(executor.timers().empty());
  clock.set(at(10));
  task.emplace(executor.spawn(tick_for_ever, std::ref(interval), std::ref(clock), std::ref(seen)));
  executor.run_until_stalled();
  CHECK(seen == std::vector<Seen>{{0, 0}, {10, 10}});
}

TEST_CASE("an interval at the end of time, and after a jump back of the clock", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  const auto two = [](Interval& interval) -> Async<std::int64_t> {
    co_await interval.tick();
    const Instant due = co_await interval.tick();
    co_return due.time_since_epoch().count();
  };
  for (const MissedTicks missed : {MissedTicks::burst, MissedTicks::delay, MissedTicks::skip}) {
    clock.set(at(INT64_MAX - 5));
    Interval interval(10ns, missed);
    JoinHandle<std::int64_t> task = executor.spawn(two, std::ref(interval));
    executor.run_until_stalled();
    CHECK(!task.is_finished());
    clock.set(Instant::max());
    executor.run_until_stalled();
    CHECK(task.try_join() == INT64_MAX);

    clock.set(at(1000));
    Interval longest = assay::interval(std::chrono::hours::max(), missed);
    JoinHandle<std::int64_t> endless = executor.spawn(two, std::ref(longest));
    executor.run_until_stalled();
    clock.set(at(-1000));
    executor.run_until_stalled();
    CHECK(!endless.is_finished());
    CHECK(executor.timers().size() == 1);
    CHECK(executor.timers().next_deadline() == Instant::max());
  }
  CHECK(executor.timers().empty());
}

TEST_CASE("an interval on the machine's clock is never early", "[time]") {
  Executor executor;
  Interval interval = assay::interval(500us);
  const bool all_late_enough = executor.block_on(
      [](Executor& of, Interval& ticking) -> Async<bool> {
        const Instant first = co_await ticking.tick();
        bool good = of.now() >= first;
        for (int i = 1; i <= 10; ++i) {
          const Instant due = co_await ticking.tick();
          good = good && due == first + i * 500us && of.now() >= due;
        }
        co_return good;
      },
      std::ref(executor), std::ref(interval));
  CHECK(all_late_enough);
  CHECK(state_of(executor) == State{.polls = executor.stats().polls, .completed = 1});
}

TEST_CASE("an interval that is not positive, or outside an executor, aborts with a line", "[time]") {
  for (const Duration period : {Duration(0), Duration(-1), Duration::min()}) {
    check_dies("interval() was given a period that is not positive",
               [period] { static_cast<void>(assay::interval(period)); });
  }
  check_dies("interval() was polled outside an Executor (in run()?)", [] {
    Interval interval = assay::interval(1s);
    assay::run(interval.tick());
  });
  check_dies("an Interval was destroyed while a tick() of it waits, or is about to", [] {
    std::optional<Interval> interval(std::in_place, Duration(1));
    const auto tick = interval->tick();
    interval.reset();
  });
}
