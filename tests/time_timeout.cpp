// timeout(): the value, the expiry, what is thrown, and cancelling it; the future inside is gone as soon as it is
// decided.
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/scripted_future.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Context;
using assay::Duration;
using assay::Executor;
using assay::Instant;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::VirtualClock;
using assay::test::check_dies;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::Counted;
using assay::testkit::Ledger;
using assay::testkit::ScriptedFuture;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

Async<int> after(Duration delay, int value) {
  co_await assay::sleep(delay);
  co_return value;
}

Async<int> throw_after(Duration delay) {
  co_await assay::sleep(delay);
  throw std::runtime_error("thrown in time");
}

// Pending for ever, and counted.
ScriptedFuture<int> stuck(Ledger& ledger) {
  auto kept = std::make_shared<LocalWaker>();
  return ScriptedFuture<int>(ledger, [kept](Context& context) -> Poll<int> {
    *kept = context.local_waker();
    return Pending;
  });
}

}  // namespace

TEST_CASE("timeout: the value, when it comes in time", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  CHECK(executor.block_on(assay::timeout(10ns, after(9ns, 3))) == 3);
  CHECK(clock.now() == at(9));
  CHECK(state_of(executor) == State{.polls = 2, .completed = 1});
  // A future that is ready at once needs no timer.
  Ledger ledger;
  ScriptedFuture<int> at_once(ledger, [](Context&) { return Poll<int>(Ready(4)); });
  CHECK(executor.block_on(assay::timeout(0ns, std::move(at_once))) == 4);
  CHECK(ledger.leftovers().empty());
  CHECK(state_of(executor) == State{.polls = 3, .completed = 2});
}

TEST_CASE("timeout: at the same instant the value wins", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  CHECK(executor.block_on(assay::timeout(10ns, after(10ns, 3))) == 3);
  CHECK(executor.timers().empty());
}

TEST_CASE("timeout: nothing, when it does not, and the future is destroyed", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  Ledger ledger;
  JoinHandle<std::uint64_t> task = executor.spawn(
      [](Ledger& counts) -> Async<std::uint64_t> {
        auto limited = assay::timeout(10ns, stuck(counts));
        const std::optional<int> value = co_await limited;
        CHECK(!value);
        co_return counts.futures_alive();  // while `limited` still lives
      },
      std::ref(ledger));
  CHECK(executor.block_on(task) == 0);
  CHECK(clock.now() == at(10));
  CHECK(ledger.polls == 2);
  CHECK(ledger.leftovers().empty());
  CHECK(state_of(executor) == State{.polls = 4, .completed = 2});
}

TEST_CASE("timeout: what the future throws comes through, and it is gone", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  auto limited = assay::timeout(10ns, throw_after(5ns));
  CHECK_THROWS_AS(executor.block_on(limited), std::runtime_error);
  CHECK(clock.now() == at(5));
  CHECK(state_of(executor) == State{.timers = 0, .polls = 2, .threw = 1});
  check_dies("a future was polled again after it was Ready", [&] { executor.block_on(limited); });
}

TEST_CASE("timeout: cancelled, it cancels the future and its timer", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  Ledger ledger;
  JoinHandle<std::optional<int>> task = executor.spawn(assay::timeout(10ns, stuck(ledger)));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 1});
  CHECK(ledger.futures_alive() == 1);
  task.cancel();
  CHECK(ledger.leftovers().empty());
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 1, .cancelled = 1});
}

TEST_CASE("timeout: void, references, move-only values", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  Ledger ledger;
  CHECK(executor.block_on(assay::timeout(1s, assay::sleep(1ns))).has_value());
  CHECK(!executor.block_on(assay::timeout(1ns, assay::sleep(1s))).has_value());
  int target = 0;
  const auto reference = [](int& to) -> Async<int&> {
    co_await assay::yield_now();
    co_return to;
  };
  std::optional<std::reference_wrapper<int>> found = executor.block_on(assay::timeout(1s, reference(target)));
  REQUIRE(found);
  CHECK(&found->get() == &target);
  {
    const auto counted = [](Ledger& counts) -> Async<Counted> {
      co_await assay::yield_now();
      co_return Counted(counts, 5);
    };
    std::optional<Counted> value = executor.block_on(assay::timeout(1s, counted(ledger)));
    REQUIRE(value);
    CHECK(value->value() == 5);
    CHECK(ledger.values_alive() == 1);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("timeout: a future that is always woken cannot put the timeout off", "[time]") {
  // BUGS.md F12: the inner future must not use up the turn in which the clock would be looked at.
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::uint64_t polls = 0;
  const auto busy = [](VirtualClock& time, std::uint64_t& count) -> Async<void> {
    for (;;) {
      ++count;
      time.advance(1ns);
      co_await assay::yield_now();
    }
  };
  CHECK(!executor.block_on(assay::timeout(1000ns, busy(clock, polls))).has_value());
  CHECK(polls >= 1000);
  CHECK(polls <= 1000 + 61 + 1);
  CHECK(executor.timers().empty());
}

TEST_CASE("timeouts inside each other: the innermost that expires decides", "[time]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  Ledger ledger;
  auto inner_first = assay::timeout(20ns, assay::timeout(10ns, stuck(ledger)));
  const auto outcome = executor.block_on(inner_first);
  REQUIRE(outcome.has_value());
  CHECK(!outcome->has_value());
  CHECK(clock.now() == at(10));
  auto outer_first = assay::timeout(10ns, assay::timeout(20ns, stuck(ledger)));
  CHECK(!executor.block_on(outer_first).has_value());
  CHECK(clock.now() == at(20));
  CHECK(ledger.leftovers().empty());
  CHECK(executor.timers().empty());
}
