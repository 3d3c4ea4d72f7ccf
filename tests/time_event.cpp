// TimeEvent: deadlines in the past, now, far and at the end of time; dropping it, outliving the executor, changing it.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/run.hpp"
#include "assay/time.hpp"
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
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::TimeEvent;
using assay::VirtualClock;
using assay::test::check_dies;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::Ledger;
using assay::testkit::ScriptedFuture;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

Async<void> wait_until(Instant deadline) { co_await TimeEvent(deadline); }

// Polls a TimeEvent that lives elsewhere: a hand-written future, where wait_until is a coroutine.
ScriptedFuture<void> wait_on(Ledger& ledger, TimeEvent& event) {
  return ScriptedFuture<void>(ledger, [&event](Context& context) { return event.poll(context); });
}

}  // namespace

TEST_CASE("a deadline that is past, or now, is Ready after one trip through the queue", "[time]") {
  VirtualClock clock(at(1000), false);
  Executor executor({.clock = &clock});
  const Instant deadline = GENERATE(Instant::min(), at(-1), at(0), at(999), at(1000));
  JoinHandle<void> task = executor.spawn(wait_until(deadline));
  CHECK(state_of(executor) == State{.tasks = 1});
  CHECK(executor.poll_once());
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 1});
  CHECK(executor.poll_once());
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 2, .completed = 1});
  CHECK(task.is_finished());
  CHECK(task.try_join());
  CHECK(state_of(executor) == State{.polls = 2, .completed = 1});
}

TEST_CASE("a deadline that has not come is Pending, to the nanosecond", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  const Instant deadline = GENERATE(at(1), at(1'000'000'000), at(INT64_MAX - 1), Instant::max());
  JoinHandle<void> task = executor.spawn(wait_until(deadline));
  CHECK(executor.run_until_stalled() == 1);
  clock.set(deadline - 1ns);
  CHECK(executor.run_until_stalled() == 0);
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 1});
  clock.set(deadline);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 2, .completed = 1});
}

TEST_CASE("extra polls of a TimeEvent arm nothing twice, and the latest waker counts", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  Ledger ledger;
  TimeEvent event(at(10));
  std::optional<JoinHandle<void>> first(executor.spawn(wait_on(ledger, event)));
  executor.run_until_stalled();
  CHECK(executor.timers().size() == 1);
  // The second task polls the same event: it, not the first one, is woken.
  JoinHandle<void> second = executor.spawn(wait_on(ledger, event));
  first.reset();
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 2, .cancelled = 1});
  clock.set(at(10));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(second.is_finished());
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 3, .completed = 1, .cancelled = 1});
  CHECK(ledger.polls == 3);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("tasks with equal deadlines run in the order in which they armed them", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::vector<int> order;
  const auto record = [](std::vector<int>& into, int number, Instant deadline) -> Async<void> {
    co_await TimeEvent(deadline);
    into.push_back(number);
  };
  for (int i = 0; i < 50; ++i) executor.spawn_detached(record, std::ref(order), i, at(i % 2 == 0 ? 7 : 7 + i));
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = 50, .tasks = 50, .polls = 50});
  clock.set(at(1000));
  CHECK(executor.run_until_stalled() == 50);
  std::vector<int> expected;
  for (int i = 0; i < 50; i += 2) expected.push_back(i);
  for (int i = 1; i < 50; i += 2) expected.push_back(i);
  CHECK(order == expected);
  CHECK(state_of(executor) == State{.polls = 100, .completed = 50});
}

TEST_CASE("a cancelled wait leaves no timer behind, at once", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(executor.spawn(wait_until(at(100 - i))));
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.timers = 100, .tasks = 100, .polls = 100});
  for (std::size_t i = 0; i < 100; i += 3) {
    tasks.at(i).cancel();
    CHECK(executor.timers().size() == 100 - (i / 3 + 1));
  }
  CHECK(state_of(executor) == State{.timers = 66, .tasks = 100, .polls = 100, .cancelled = 34});
  clock.set(at(100));
  CHECK(executor.run_until_stalled() == 66);
  tasks.clear();
  CHECK(state_of(executor) == State{.polls = 166, .completed = 66, .cancelled = 34});
}

TEST_CASE("a timer that fired for a task cancelled meanwhile wakes nobody", "[time]") {
  VirtualClock clock(at(0), false);
  Executor executor({.clock = &clock});
  std::optional<JoinHandle<void>> victim;
  const auto kill = [](std::optional<JoinHandle<void>>& other) -> Async<void> {
    co_await TimeEvent(at(5));
    other.reset();
  };
  executor.spawn_detached(kill, std::ref(victim));
  victim.emplace(executor.spawn(wait_until(at(5))));
  executor.run_until_stalled();
  CHECK(executor.timers().size() == 2);
  clock.set(at(5));
  CHECK(executor.run_until_stalled() == 1);  // both fired; the victim was in the ready queue and is not polled
  CHECK(state_of(executor) == State{.polls = 3, .completed = 1, .cancelled = 1});
}

TEST_CASE("a TimeEvent outlives its executor, is polled in another, and is Ready there", "[time]") {
  Ledger ledger;
  VirtualClock clock(at(0), false);
  TimeEvent event(at(5));
  {
    Executor gone({.clock = &clock});
    gone.spawn_detached(wait_on(ledger, event));
    gone.run_until_stalled();
    CHECK(state_of(gone) == State{.timers = 1, .tasks = 1, .polls = 1});
  }
  CHECK(ledger.leftovers().empty());
  clock.set(at(6));
  Executor executor({.clock = &clock});
  JoinHandle<void> task = executor.spawn(wait_on(ledger, event));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(state_of(executor) == State{.tasks = 1, .polls = 2, .completed = 1});
  CHECK(ledger.polls == 3);
}

TEST_CASE("a TimeEvent moves between two living executors", "[time]") {
  Ledger ledger;
  VirtualClock slow(at(0), false);
  VirtualClock fast(at(100), false);
  Executor first({.clock = &slow});
  Executor second({.clock = &fast});
  TimeEvent event(at(50));
  JoinHandle<void> in_first = first.spawn(wait_on(ledger, event));
  CHECK(first.run_until_stalled() == 1);
  CHECK(first.timers().size() == 1);
  JoinHandle<void> in_second = second.spawn(wait_on(ledger, event));
  CHECK(second.poll_once());
  CHECK(first.timers().size() == 0);
  CHECK(second.timers().size() == 1);
  slow.set(at(60));
  // The first task's waker went with the move: it can never run again, unless it is cancelled.
  in_first.cancel();
  CHECK(first.run_until_stalled() == 0);
  CHECK(second.run_until_stalled() == 1);
  CHECK(in_second.is_finished());
  CHECK(state_of(first) == State{.tasks = 1, .polls = 1, .cancelled = 1});
  CHECK(state_of(second) == State{.tasks = 1, .polls = 2, .completed = 1});
}

TEST_CASE("a TimeEvent that waits outlives both its task and its executor, unpolled", "[time]") {
  Ledger ledger;
  VirtualClock clock(at(0), false);
  auto executor = std::make_unique<Executor>(assay::ExecutorOptions{.clock = &clock});
  auto event = std::make_unique<TimeEvent>(at(5));
  JoinHandle<void> task = executor->spawn(wait_on(ledger, *event));
  executor->run_until_stalled();
  task.cancel();
  CHECK(executor->timers().size() == 1);  // the event lives outside the task
  SECTION("the event goes first") {
    event.reset();
    CHECK(executor->timers().size() == 0);
    CHECK(state_of(*executor) == State{.tasks = 1, .polls = 1, .cancelled = 1});
    executor.reset();
  }
  SECTION("it fires for a task that is done") {
    clock.set(at(5));
    CHECK(executor->run_until_stalled() == 0);
    CHECK(state_of(*executor) == State{.tasks = 1, .polls = 1, .cancelled = 1});
    executor.reset();
  }
  SECTION("the executor goes first") {
    executor.reset();
    event.reset();
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("what nobody may do with a TimeEvent aborts with a line", "[time]") {
  check_dies("a timer was polled outside an Executor (in run()?); it needs Executor::block_on", [] {
    TimeEvent event(at(0));
    assay::run(event);
  });
  check_dies("sleep() was polled outside an Executor (in run()?)", [] { assay::run(assay::sleep(1ns)); });
  check_dies("a future was polled again after it was Ready", [] {
    VirtualClock clock;
    Executor executor({.clock = &clock});
    TimeEvent event(at(0));
    executor.block_on(event);
    executor.block_on(event);
  });
  check_dies("a future was moved after its first poll", [] {
    VirtualClock clock(at(0), false);
    Executor executor({.clock = &clock});
    Ledger ledger;
    TimeEvent event(at(9));
    JoinHandle<void> task = executor.spawn(wait_on(ledger, event));
    executor.run_until_stalled();
    const TimeEvent other(std::move(event));
  });
  check_dies("a timer was destroyed on another thread than its executor's", [] {
    VirtualClock clock(at(0), false);
    Executor executor({.clock = &clock});
    Ledger ledger;
    auto event = std::make_unique<TimeEvent>(at(9));
    JoinHandle<void> task = executor.spawn(wait_on(ledger, *event));
    executor.run_until_stalled();
    std::thread([&event] { event.reset(); }).join();
  });
}
