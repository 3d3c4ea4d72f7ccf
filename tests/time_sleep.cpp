// sleep and sleep_until: never early on the machine's clock; any duration on a virtual one.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Duration;
using assay::Executor;
using assay::Instant;
using assay::JoinHandle;
using assay::VirtualClock;
using assay::test::State;
using assay::test::state_of;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

}  // namespace

TEST_CASE("on the machine's clock nothing wakes early", "[time]") {
  Executor executor;
  int late_enough = 0;
  const auto check = [](int& good, Duration delay) -> Async<void> {
    const auto start = std::chrono::steady_clock::now();
    co_await assay::sleep(delay);
    if (std::chrono::steady_clock::now() - start >= delay) ++good;
  };
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 200; ++i) tasks.push_back(executor.spawn(check, std::ref(late_enough), i * 37us));
  for (JoinHandle<void>& task : tasks) executor.block_on(task);
  CHECK(late_enough == 200);
  CHECK(executor.timers().empty());
  CHECK(executor.stats().completed == 400);  // and as many block_on tasks
  CHECK(executor.stats().polls <= 800);      // each twice at the most: nobody is polled for another's timer
}

TEST_CASE("sleep_until on the machine's clock", "[time]") {
  Executor executor;
  for (const Duration delay : {-1ns, 0ns, 1ns, 100'000ns, 2'000'000ns}) {
    const Instant deadline = executor.now() + delay;
    executor.block_on(assay::sleep_until(deadline));
    CHECK(executor.now() >= deadline);
  }
  CHECK(state_of(executor) == State{.polls = 10, .completed = 5});
}

TEST_CASE("a sleep starts at its first poll, not when it is made", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  JoinHandle<void> task = executor.spawn([]() -> Async<void> {
    auto sleep = assay::sleep(10ns);
    co_await assay::sleep(5ns);
    co_await sleep;
  });
  executor.run_until_stalled();
  clock.set(at(5));
  executor.run_until_stalled();
  clock.set(at(14));
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 2});
  clock.set(at(15));
  executor.run_until_stalled();
  CHECK(task.is_finished());
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 3, .completed = 1});
}

TEST_CASE("zero, negative, fractional and NaN sleeps yield once", "[time]") {
  VirtualClock clock(at(7), false);
  Executor executor({.clock = &clock});
  executor.block_on(assay::sleep(0s));
  executor.block_on(assay::sleep(-1h));
  executor.block_on(assay::sleep(std::chrono::hours::min()));
  executor.block_on(assay::sleep(std::chrono::duration<double>(std::nan(""))));
  executor.block_on(assay::sleep(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())));
  CHECK(clock.now() == at(7));
  CHECK(state_of(executor) == State{.polls = 10, .completed = 5});
}

TEST_CASE("the longest sleeps end at the end of time", "[time]") {
  VirtualClock clock(at(7));
  Executor executor({.clock = &clock});
  executor.block_on(assay::sleep(std::chrono::hours::max()));
  CHECK(clock.now() == Instant::max());
  clock.set(at(7));
  executor.block_on(assay::sleep(std::chrono::duration<double>(std::numeric_limits<double>::infinity())));
  CHECK(clock.now() == Instant::max());
  executor.block_on(assay::sleep(Duration::max()));  // and when it has come, they are zero
  CHECK(clock.now() == Instant::max());
  CHECK(state_of(executor) == State{.polls = 6, .completed = 3});
}

TEST_CASE("a long sleep on the machine's clock does not disturb a short one", "[time]") {
  // ppoll and timerfd get 292 years here: nothing overflows on the way.
  Executor executor;
  JoinHandle<void> endless = executor.spawn(assay::sleep(std::chrono::hours::max()));
  const auto start = std::chrono::steady_clock::now();
  executor.block_on(assay::sleep(2ms));
  CHECK(std::chrono::steady_clock::now() - start >= 2ms);
  CHECK(!endless.is_finished());
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 3, .completed = 1});
  endless.cancel();
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 3, .completed = 1, .cancelled = 1});
}

TEST_CASE("a day of sleeps passes in no time on a virtual clock, in order", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  std::vector<std::int64_t> seconds;
  const auto nap = [](std::vector<std::int64_t>& seen, VirtualClock& time, std::chrono::seconds period) -> Async<void> {
    for (int i = 0; i < 4; ++i) {
      co_await assay::sleep(period);
      seen.push_back(std::chrono::duration_cast<std::chrono::seconds>(time.now().time_since_epoch()).count());
    }
  };
  JoinHandle<void> six_hours = executor.spawn(nap, std::ref(seconds), std::ref(clock), 21600s);
  JoinHandle<void> hour = executor.spawn(nap, std::ref(seconds), std::ref(clock), 3600s);
  executor.block_on(six_hours);
  CHECK(seconds == std::vector<std::int64_t>{3600, 7200, 10800, 14400, 21600, 43200, 64800, 86400});
  CHECK(hour.is_finished());
  CHECK(clock.now() == at(86'400'000'000'000));
}
