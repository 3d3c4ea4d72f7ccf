// Timers added while the executor sleeps, by a task that an fd or another thread has woken: also one that is due before
// the one it sleeps for.
#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/simulated_reactor.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"
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
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SimulatedReactor;
using assay::testkit::SystemFaults;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

Async<void> sleep_after_event(int fd, Duration delay, std::vector<int>& order, int number) {
  co_await FdEvent(fd, Interest::read);
  co_await assay::sleep(delay);
  order.push_back(number);
}

Async<void> sleep_for(Duration delay, std::vector<int>& order, int number) {
  co_await assay::sleep(delay);
  order.push_back(number);
}

// Ready at its second poll; gives its waker to whoever wakes it from another thread.
struct WokenByThread {
  using Output = void;
  std::optional<Waker>& waker;
  std::atomic<bool>& woken;
  Poll<void> poll(Context& context) {
    if (woken.load()) return Ready();
    waker = context.waker();
    return Pending;
  }
};

}  // namespace

TEST_CASE("an fd event adds an earlier timer while the executor sleeps for a later one", "[time]") {
  // A clock that is told, and a reactor that tells how long it would have slept.
  VirtualClock clock(at(0), false);
  SimulatedReactor reactor;
  Executor executor({.clock = &clock, .reactor = &reactor});
  std::vector<int> order;
  JoinHandle<void> late = executor.spawn(sleep_for(1000ns, order, 2));
  JoinHandle<void> early = executor.spawn(sleep_after_event(7, 10ns, order, 1));
  std::vector<State> at_parks;
  reactor.on_park = [&](std::optional<Duration> timeout) {
    CHECK(!timeout);  // the clock is virtual and does not advance by itself: only an event ends the sleep
    at_parks.push_back(state_of(executor));
    switch (reactor.parks()) {
      case 1:
        reactor.set(7, POLLIN);
        break;
      case 2:
        clock.set(at(10));
        break;
      default:
        clock.set(at(1000));
        break;
    }
  };
  executor.block_on(late);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(at_parks == std::vector<State>{{.timers = 1, .fds = 1, .tasks = 3, .polls = 3},
                                       {.timers = 2, .fds = 0, .tasks = 3, .polls = 4},
                                       {.timers = 1, .fds = 0, .tasks = 3, .polls = 5, .completed = 1}});
  CHECK(early.is_finished());
}

TEST_CASE("the machine's clock: a pipe adds an earlier timer while poll sleeps for a later one", "[time]") {
  SystemFaults calls;
  Pipe pipe;
  Executor executor;
  std::vector<int> order;
  JoinHandle<void> late = executor.spawn(sleep_for(1h, order, 2));
  JoinHandle<void> early = executor.spawn(sleep_after_event(pipe.reader(), 1ms, order, 1));
  int blocked = 0;
  calls.before_blocking = [&] {
    if (++blocked == 1) pipe.write("x");
  };
  const auto start = std::chrono::steady_clock::now();
  executor.block_on(early);
  CHECK(std::chrono::steady_clock::now() - start < 10min);
  CHECK(blocked >= 2);  // first for the pipe, or an hour; then for a millisecond
  CHECK(order == std::vector<int>{1});
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 6, .completed = 2});
}

TEST_CASE("the machine's clock: another thread's wake adds an earlier timer while poll sleeps for a later one",
          "[time]") {
  SystemFaults calls;
  Executor executor;
  std::vector<int> order;
  std::optional<Waker> waker;
  std::atomic<bool> woken = false;
  std::atomic<bool> asleep = false;
  JoinHandle<void> late = executor.spawn(sleep_for(1h, order, 2));
  const auto woken_then_sleeps = [](std::optional<Waker>& by, std::atomic<bool>& flag,
                                    std::vector<int>& into) -> Async<void> {
    WokenByThread event{by, flag};
    co_await event;
    co_await assay::sleep(1ms);
    into.push_back(1);
  };
  JoinHandle<void> early = executor.spawn(woken_then_sleeps, std::ref(waker), std::ref(woken), std::ref(order));
  const pid_t sleeper = assay::test::thread_number();
  calls.before_blocking = [&] { asleep.store(true); };
  std::thread thread([&] {
    while (!asleep.load()) std::this_thread::yield();
    assay::test::until_asleep(sleeper);
    woken.store(true);
    std::move(*waker).wake();
    waker.reset();
  });
  const auto start = std::chrono::steady_clock::now();
  executor.block_on(early);
  CHECK(std::chrono::steady_clock::now() - start < 10min);
  thread.join();
  CHECK(executor.run_until_stalled() == 0);  // takes back what the dropped waker released
  CHECK(order == std::vector<int>{1});
  CHECK(executor.stats().remote_wakes == 1);
  CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 6, .completed = 2});
}

TEST_CASE("the earlier of two timers ends the sleep, whichever was armed first", "[time]") {
  SimulatedReactor reactor;
  VirtualClock clock(at(0));
  Executor executor({.clock = &clock, .reactor = &reactor});
  std::vector<int> order;
  JoinHandle<void> late = executor.spawn(sleep_for(20ns, order, 2));
  JoinHandle<void> early = executor.spawn(sleep_for(10ns, order, 1));
  executor.block_on(early);
  CHECK(clock.now() == at(10));
  executor.block_on(late);
  CHECK(clock.now() == at(20));
  CHECK(order == std::vector<int>{1, 2});
  CHECK(reactor.parks() == 0);  // a clock that advances by itself is never waited for
}

TEST_CASE("how long poll sleeps: until the next timer, and no longer", "[time]") {
  // Seen through a clock that is not virtual, and yet told by the test.
  struct ToldClock final : assay::Clock {
    Instant time = at(1'000'000);
    Instant now() noexcept override { return time; }
    bool skip_to(Instant) noexcept override { return false; }
    bool is_virtual() const noexcept override { return false; }
  } clock;
  SimulatedReactor reactor;
  Executor executor({.clock = &clock, .reactor = &reactor});
  std::vector<std::optional<Duration>> slept;
  reactor.on_park = [&](std::optional<Duration> timeout) {
    slept.push_back(timeout);
    if (timeout) clock.time += *timeout;
  };
  std::vector<int> order;
  JoinHandle<void> a = executor.spawn(sleep_for(500ns, order, 1));
  JoinHandle<void> b = executor.spawn(sleep_for(700ns, order, 2));
  JoinHandle<void> never = executor.spawn(sleep_for(Duration::max(), order, 3));
  executor.block_on(b);
  CHECK(slept == std::vector<std::optional<Duration>>{500ns, 200ns});
  CHECK(order == std::vector<int>{1, 2});
  // A clock that is set back makes it sleep longer; to before the beginning, as long as there are nanoseconds.
  slept.clear();
  clock.time = Instant::min();
  reactor.on_park = [&](std::optional<Duration> timeout) {
    slept.push_back(timeout);
    clock.time = Instant::max();
  };
  executor.block_on(never);
  CHECK(slept == std::vector<std::optional<Duration>>{Duration::max()});
  CHECK(executor.timers().empty());
}
