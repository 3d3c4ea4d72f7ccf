// A task that is always ready starves nobody: timers, fds and other threads' wakes are seen at least every
// ExecutorOptions::polls_per_visit polls.
#include <poll.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/simulated_reactor.hpp"
#include "reactor_files.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Context;
using assay::Duration;
using assay::Executor;
using assay::FdEvent;
using assay::Instant;
using assay::Interest;
using assay::JoinHandle;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::VirtualClock;
using assay::Waker;
using assay::test::check_dies;
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SimulatedReactor;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

// Yields until it is cancelled, and counts.
Async<void> yield_for_ever(std::uint64_t& yields) {
  for (;;) {
    ++yields;
    co_await assay::yield_now();
  }
}

// The same by hand: wakes itself in each poll.
struct AlwaysReady {
  using Output = void;
  std::uint64_t& polls;
  Poll<void> poll(Context& context) {
    ++polls;
    context.local_waker().wake_by_ref();
    return Pending;
  }
};

#define ANY_LIMIT() static_cast<std::uint32_t>(GENERATE(1, 2, 61, 1000))

}  // namespace

TEST_CASE("a task that yields for ever does not starve timers", "[fairness]") {
  const std::uint32_t limit = ANY_LIMIT();
  VirtualClock clock(at(0), false);
  Executor executor({.polls_per_visit = limit, .clock = &clock});
  std::uint64_t yields = 0;
  JoinHandle<void> busy = executor.spawn(yield_for_ever(yields));
  // Sets the clock to the deadline of the task under test, and remembers how often the busy one had run then.
  std::uint64_t yields_when_due = 0;
  const auto come_due = [](VirtualClock& time, std::uint64_t& now, std::uint64_t& then) -> Async<void> {
    for (int i = 0; i < 100; ++i) co_await assay::yield_now();
    time.set(at(50));
    then = now;
  };
  executor.spawn_detached(come_due, std::ref(clock), std::ref(yields), std::ref(yields_when_due));
  executor.block_on(assay::sleep_until(at(50)));
  CHECK(yields - yields_when_due <= limit + 1);
  CHECK(yields >= 100);
  CHECK(state_of(executor) == State{.tasks = 1, .polls = executor.stats().polls, .completed = 2});
}

TEST_CASE("a task that yields for ever does not starve fds", "[fairness]") {
  const std::uint32_t limit = ANY_LIMIT();
  Pipe pipe;
  Executor executor({.polls_per_visit = limit});
  std::uint64_t polls = 0;
  JoinHandle<void> busy = executor.spawn(AlwaysReady{polls});
  std::uint64_t polls_when_written = 0;
  const auto write_later = [](Pipe& to, std::uint64_t& now, std::uint64_t& then) -> Async<void> {
    for (int i = 0; i < 100; ++i) co_await assay::yield_now();
    to.write("x");
    then = now;
  };
  executor.spawn_detached(write_later, std::ref(pipe), std::ref(polls), std::ref(polls_when_written));
  CHECK(executor.block_on(FdEvent(pipe.reader(), Interest::read)) == assay::Readiness{.readable = true});
  CHECK(polls - polls_when_written <= limit + 1);
  CHECK(polls >= 100);
  CHECK(state_of(executor) == State{.tasks = 1, .polls = executor.stats().polls, .completed = 2});
}

TEST_CASE("a task that yields for ever does not starve another thread's wake", "[fairness]") {
  const std::uint32_t limit = ANY_LIMIT();
  Executor executor({.polls_per_visit = limit});
  std::uint64_t polls = 0;
  JoinHandle<void> busy = executor.spawn(AlwaysReady{polls});
  std::optional<Waker> waker;
  std::atomic<bool> woken = false;
  struct Woken {
    using Output = void;
    std::optional<Waker>& waker;
    std::atomic<bool>& woken;
    Poll<void> poll(Context& context) {
      if (woken.load()) return Ready();
      waker = context.waker();
      return Pending;
    }
  };
  std::uint64_t polls_when_woken = 0;
  const auto wake_later = [](std::optional<Waker>& by, std::atomic<bool>& flag, std::uint64_t& now,
                             std::uint64_t& then) -> Async<void> {
    for (int i = 0; i < 100; ++i) co_await assay::yield_now();
    // Has happened, on the other thread, by the time this task goes on.
    std::thread([&by, &flag] {
      flag.store(true);
      std::move(*by).wake();
      by.reset();
    }).join();
    then = now;
  };
  executor.spawn_detached(wake_later, std::ref(waker), std::ref(woken), std::ref(polls), std::ref(polls_when_woken));
  executor.block_on(Woken{waker, woken});
  CHECK(polls - polls_when_woken <= limit + 1);
  CHECK(polls >= 100);
  CHECK(executor.stats().remote_wakes == 1);
  CHECK(state_of(executor) == State{.tasks = 1, .polls = executor.stats().polls, .completed = 2});
}

TEST_CASE("a task that waits for another thread by yielding gets there", "[fairness]") {
  // BUGS.md H07. It burns the processor meanwhile, but it is not stuck, and neither is the other thread's wake.
  Executor executor;
  std::atomic<bool> done = false;
  std::thread thread([&] { done.store(true); });
  const auto spin = [](std::atomic<bool>& flag) -> Async<void> {
    while (!flag.load()) co_await assay::yield_now();
  };
  executor.block_on(spin, std::ref(done));
  thread.join();
  CHECK(state_of(executor) == State{.polls = executor.stats().polls, .completed = 1});
}

TEST_CASE("the reactor is asked once per polls_per_visit polls, and not more, while tasks are ready", "[fairness]") {
  const std::uint32_t limit = ANY_LIMIT();
  SimulatedReactor reactor;
  Executor executor({.polls_per_visit = limit, .reactor = &reactor});
  JoinHandle<assay::Readiness> waiting = executor.spawn(FdEvent(3, Interest::read));
  const auto yield_so_often = [](int times) -> Async<void> {
    for (int i = 0; i < times; ++i) co_await assay::yield_now();
  };
  executor.block_on(yield_so_often, 10'000);
  CHECK(executor.stats().polls == 10'002);
  CHECK(reactor.waits() >= 10'000 / limit - 1);
  CHECK(reactor.waits() <= 10'002 / limit + 1);
  CHECK(reactor.parks() == 0);
}

TEST_CASE("always-ready input does not starve the other tasks", "[fairness]") {
  // BUGS.md H04: an fd that is ready at once whenever it is awaited goes through the queue all the same.
  Pipe pipe;
  pipe.write("always");
  Executor executor;
  std::uint64_t reads = 0;
  const auto read_for_ever = [](int fd, std::uint64_t& count) -> Async<void> {
    for (;;) {
      co_await FdEvent(fd, Interest::read);
      ++count;
    }
  };
  JoinHandle<void> reader = executor.spawn(read_for_ever, pipe.reader(), std::ref(reads));
  std::uint64_t yields = 0;
  const auto yield_some = [](std::uint64_t& count) -> Async<void> {
    for (; count < 1000; ++count) co_await assay::yield_now();
  };
  executor.block_on(yield_some, std::ref(yields));
  CHECK(yields == 1000);
  CHECK(reads >= 1000 / 62);
  CHECK(reads <= 1000);
}

TEST_CASE("ready tasks take turns", "[fairness]") {
  Executor executor;
  std::vector<int> turns;
  const auto take = [](std::vector<int>& into, int number) -> Async<void> {
    for (int i = 0; i < 5; ++i) {
      into.push_back(number);
      co_await assay::yield_now();
    }
  };
  for (int i = 0; i < 3; ++i) executor.spawn_detached(take, std::ref(turns), i);
  executor.run_until_stalled();
  CHECK(turns == std::vector<int>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
}

TEST_CASE("polls_per_visit of 0 aborts with a line", "[fairness]") {
  check_dies("ExecutorOptions::polls_per_visit is 0; it must be at least 1",
             [] { const Executor executor({.polls_per_visit = 0}); });
}
