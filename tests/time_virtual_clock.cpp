// VirtualClock: with auto_advance block_on jumps to the next deadline, and only when there is nothing else to do;
// without it time stands still until it is told.
#include <poll.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/simulated_reactor.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Duration;
using assay::Executor;
using assay::FdEvent;
using assay::Instant;
using assay::Interest;
using assay::JoinHandle;
using assay::VirtualClock;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SimulatedReactor;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

}  // namespace

TEST_CASE("VirtualClock by itself: set, advance, saturate", "[time]") {
  VirtualClock clock(at(5));
  CHECK(clock.is_virtual());
  CHECK(clock.now() == at(5));
  clock.advance(3ns);
  CHECK(clock.now() == at(8));
  clock.advance(-10ns);
  CHECK(clock.now() == at(-2));
  clock.advance(Duration::min());
  CHECK(clock.now() == Instant::min());
  clock.set(at(1));
  clock.advance(Duration::max());
  CHECK(clock.now() == Instant::max());
  clock.set(at(10));
  CHECK(clock.skip_to(at(4)));  // never back
  CHECK(clock.now() == at(10));
  CHECK(clock.skip_to(at(11)));
  CHECK(clock.now() == at(11));
  VirtualClock still(at(0), false);
  CHECK(!still.skip_to(at(11)));
  CHECK(still.now() == at(0));
}

TEST_CASE("auto_advance: run_until_stalled and poll_once never move the clock", "[time]") {
  VirtualClock clock(at(0));
  Executor executor({.clock = &clock});
  JoinHandle<void> task = executor.spawn(assay::sleep(5ns));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(!executor.poll_once());
  CHECK(clock.now() == at(0));
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 1});
  executor.block_on(task);
  CHECK(clock.now() == at(5));
}

TEST_CASE("auto_advance: time stands still while tasks are ready or an fd is", "[time]") {
  VirtualClock clock(at(0));
  SimulatedReactor reactor;
  Executor executor({.clock = &clock, .reactor = &reactor});
  std::vector<std::int64_t> when;
  const auto busy = [](VirtualClock& time, std::vector<std::int64_t>& seen) -> Async<void> {
    for (int i = 0; i < 1000; ++i) co_await assay::yield_now();
    seen.push_back(time.now().time_since_epoch().count());
    for (int i = 0; i < 100; ++i) co_await FdEvent(3, Interest::read);
    seen.push_back(time.now().time_since_epoch().count());
    co_await assay::sleep(5ns);
    seen.push_back(time.now().time_since_epoch().count());
  };
  reactor.set(3, POLLIN);
  JoinHandle<void> sleeper = executor.spawn(assay::sleep(100ns));
  executor.block_on(busy, std::ref(clock), std::ref(when));
  CHECK(when == std::vector<std::int64_t>{0, 0, 5});
  CHECK(!sleeper.is_finished());
}

TEST_CASE("auto_advance off: block_on sleeps until an event, whatever the timers", "[time]") {
  VirtualClock clock(at(0), false);
  SimulatedReactor reactor;
  Executor executor({.clock = &clock, .reactor = &reactor});
  JoinHandle<void> timer = executor.spawn(assay::sleep(5ns));
  reactor.on_park = [&](std::optional<Duration> timeout) {
    CHECK(!timeout);
    CHECK(clock.now() == at(0));
    CHECK(state_of(executor) == State{.timers = 1, .fds = 1, .tasks = 2, .polls = 2});
    reactor.set(3, POLLIN);
  };
  const assay::Readiness readiness = executor.block_on(FdEvent(3, Interest::read));
  CHECK(readiness == assay::Readiness{.readable = true});
  CHECK(reactor.parks() == 1);
  CHECK(!timer.is_finished());
  clock.advance(5ns);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(timer.is_finished());
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 4, .completed = 2});
}

TEST_CASE("two executors on one virtual clock see one time", "[time]") {
  VirtualClock clock(at(0));
  Executor outer({.clock = &clock});
  Executor inner({.clock = &clock});
  JoinHandle<void> in_inner = inner.spawn(assay::sleep(3ns));
  const auto nested = [](Executor& other, JoinHandle<void>& task) -> Async<void> {
    co_await assay::sleep(2ns);
    other.block_on(task);
    co_await assay::sleep(2ns);
  };
  outer.block_on(nested, std::ref(inner), std::ref(in_inner));
  CHECK(clock.now() == at(7));  // the inner sleep began at its first poll, at 2
  CHECK(state_of(outer) == State{.polls = 3, .completed = 1});
  CHECK(state_of(inner) == State{.polls = 4, .completed = 2});
}
