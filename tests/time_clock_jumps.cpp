// Clocks that jump: years ahead (suspend, or a debugger), and back.
#include <algorithm>
#include <cstdint>
#include <random>
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

Async<void> record_after(Duration delay, std::vector<std::int64_t>& order) {
  co_await assay::sleep(delay);
  order.push_back(delay.count());
}

}  // namespace

TEST_CASE("a jump of years fires everything that is due, in order, and nothing else", "[time]") {
  // BUGS.md F01: a wheel of timers lost them after some days; a heap has no such edge, and must not grow one.
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::vector<std::int64_t> order;
  std::mt19937_64 random(1);
  const Duration year = 365 * 24h;
  for (int i = 0; i < 1000; ++i) {
    executor.spawn_detached(record_after(Duration(static_cast<std::int64_t>(random() % 280) * year.count()), order));
  }
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = executor.timers().size(),
                                    .tasks = executor.timers().size(),
                                    .polls = 1000 + order.size(),
                                    .completed = order.size()});
  for (const int years : {1, 12, 13, 100, 279, 292}) {
    clock.set(at(0) + years * (years == 292 ? 1h : Duration(year)));
    clock.set(years == 292 ? Instant::max() : clock.now());
    executor.run_until_stalled();
    for (const std::int64_t due : order) REQUIRE(at(due) <= clock.now());
    if (!executor.timers().empty()) REQUIRE(*executor.timers().next_deadline() > clock.now());
  }
  CHECK(order.size() == 1000);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(state_of(executor) == State{.polls = 2000, .completed = 1000});
}

TEST_CASE("a clock that jumps back delays, and breaks nothing", "[time]") {
  VirtualClock clock(at(1'000'000), false);
  Executor executor({.clock = &clock});
  std::vector<std::int64_t> order;
  JoinHandle<void> first = executor.spawn(record_after(10ns, order));
  executor.run_until_stalled();
  clock.set(Instant::min());
  CHECK(executor.run_until_stalled() == 0);
  JoinHandle<void> second = executor.spawn(record_after(20ns, order));
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = 2, .tasks = 2, .polls = 2});
  clock.advance(20ns);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(order == std::vector<std::int64_t>{20});
  clock.set(at(1'000'009));
  CHECK(executor.run_until_stalled() == 0);
  clock.set(at(1'000'010));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(order == std::vector<std::int64_t>{20, 10});
  CHECK(state_of(executor) == State{.tasks = 2, .polls = 4, .completed = 2});
}

TEST_CASE("a clock that jumps about at random: no timer fires early, none is forgotten", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::mt19937_64 random(7);
  int early = 0;
  std::uint64_t spawned = 0;
  const auto check = [](VirtualClock& time, Instant deadline, int& wrong) -> Async<void> {
    co_await assay::sleep_until(deadline);
    if (time.now() < deadline) ++wrong;
  };
  for (int step = 0; step < 2000; ++step) {
    clock.set(at(static_cast<std::int64_t>(random())));
    for (std::uint64_t i = random() % 4; i > 0; --i, ++spawned) {
      executor.spawn_detached(check, std::ref(clock), at(static_cast<std::int64_t>(random())), std::ref(early));
    }
    executor.run_until_stalled();
    REQUIRE(early == 0);
    REQUIRE(executor.timers().size() == spawned - executor.stats().completed);
    const auto next = executor.timers().next_deadline();
    REQUIRE((!next || *next > clock.now()));
  }
  clock.set(Instant::max());
  executor.run_until_stalled();
  CHECK(early == 0);
  CHECK(state_of(executor) == State{.polls = 2 * spawned, .completed = spawned});
}
