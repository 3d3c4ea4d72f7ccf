// What every backend must do, seen through FdEvent: readiness, HUP, ERR and NVAL each alone, several waiters on one fd,
// level-triggering, spurious readiness, cancelling.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "reactor_backends.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Executor;
using assay::FdEvent;
using assay::Interest;
using assay::JoinHandle;
using assay::Readiness;
using assay::test::EpollBackend;
using assay::test::NarrowEpollBackend;
using assay::test::PollBackend;
using assay::test::SimulatedBackend;
using assay::test::State;
using assay::test::state_of;

#define EVERY_BACKEND PollBackend, EpollBackend, NarrowEpollBackend, SimulatedBackend

namespace {

// A coroutine that waits, where FdEvent itself is the hand-written future.
Async<Readiness> wait_for(int fd, Interest interest) { co_return co_await FdEvent(fd, interest); }

// Polls an FdEvent that lives elsewhere.
struct PollIt {
  using Output = Readiness;
  FdEvent& event;
  assay::Poll<Readiness> poll(assay::Context& context) { return event.poll(context); }
};

constexpr Interest all_interests[] = {Interest::read, Interest::write, Interest::read_write};

}  // namespace

TEMPLATE_TEST_CASE("an fd that becomes readable", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_socket();
  JoinHandle<Readiness> coroutine = executor.spawn(wait_for(fd, Interest::read));
  JoinHandle<Readiness> future = executor.spawn(FdEvent(fd, Interest::read));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(state_of(executor) == State{.fds = 2, .tasks = 2, .polls = 2});
  CHECK(executor.run_until_stalled() == 0);
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(state_of(executor) == State{.tasks = 2, .polls = 4, .completed = 2});
  CHECK(coroutine.try_join() == Readiness{.readable = true});
  CHECK(future.try_join() == Readiness{.readable = true});
  CHECK(state_of(executor) == State{.polls = 4, .completed = 2});
}

TEMPLATE_TEST_CASE("an fd that is writable already, and one that is both", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_socket();
  CHECK(executor.block_on(FdEvent(fd, Interest::write)) == Readiness{.writable = true});
  CHECK(executor.block_on(wait_for(fd, Interest::read_write)) == Readiness{.writable = true});
  backend.make_readable(fd);
  CHECK(executor.block_on(FdEvent(fd, Interest::read)) == Readiness{.readable = true});
  CHECK(executor.block_on(FdEvent(fd, Interest::read_write)) == Readiness{.readable = true, .writable = true});
  CHECK(state_of(executor) == State{.polls = 8, .completed = 4});
}

TEMPLATE_TEST_CASE("HUP without IN wakes, whatever was waited for", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  for (const Interest interest : all_interests) {
    const int fd = backend.open_reader();
    JoinHandle<Readiness> task = executor.spawn(wait_for(fd, interest));
    executor.run_until_stalled();
    CHECK(executor.reactor().size() == 1);
    backend.hang_up(fd);
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == Readiness{.hangup = true});
    CHECK(executor.reactor().size() == 0);
  }
  CHECK(state_of(executor) == State{.polls = 6, .completed = 3});
}

TEMPLATE_TEST_CASE("ERR without OUT wakes, whatever was waited for", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  for (const Interest interest : all_interests) {
    const int fd = backend.open_writer();
    JoinHandle<Readiness> task = executor.spawn(wait_for(fd, interest));
    executor.run_until_stalled();
    CHECK(executor.reactor().size() == 1);
    backend.break_off(fd);
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == Readiness{.error = true});
    CHECK(executor.reactor().size() == 0);
  }
  CHECK(state_of(executor) == State{.polls = 6, .completed = 3});
}

TEMPLATE_TEST_CASE("NVAL, a number that is no open fd, wakes; before the wait and during it", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  for (const Interest interest : all_interests) {
    const int fd = backend.open_reader();
    JoinHandle<Readiness> task = executor.spawn(wait_for(fd, interest));
    executor.run_until_stalled();
    backend.close(fd);
    // epoll says nothing of a number that is closed, until something waits for it again.
    CHECK(executor.run_until_stalled() == (TestType::sees_closing ? 1 : 0));
    CHECK(task.is_finished() == TestType::sees_closing);
    CHECK(executor.block_on(FdEvent(fd, interest)) == Readiness{.invalid = true});
    executor.run_until_stalled();
    CHECK(task.try_join() == Readiness{.invalid = true});
  }
  CHECK(state_of(executor) == State{.polls = 12, .completed = 6});
}

TEMPLATE_TEST_CASE("a reader and a writer on one fd: each is woken for its own", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_socket();
  JoinHandle<Readiness> reader = executor.spawn(wait_for(fd, Interest::read));
  JoinHandle<Readiness> writer = executor.spawn(wait_for(fd, Interest::write));
  CHECK(executor.run_until_stalled() == 3);
  CHECK(!reader.is_finished());
  CHECK(writer.try_join() == Readiness{.writable = true});
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 3, .completed = 1});
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(reader.try_join() == Readiness{.readable = true});
  CHECK(state_of(executor) == State{.polls = 4, .completed = 2});
}

TEMPLATE_TEST_CASE("HUP and ERR wake both the reader and the writer", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int pipe = backend.open_reader();
  const int full = backend.open_writer();
  JoinHandle<Readiness> reader = executor.spawn(wait_for(pipe, Interest::read));
  JoinHandle<Readiness> writer = executor.spawn(wait_for(pipe, Interest::write));
  JoinHandle<Readiness> full_reader = executor.spawn(wait_for(full, Interest::read));
  JoinHandle<Readiness> full_writer = executor.spawn(wait_for(full, Interest::write));
  CHECK(executor.run_until_stalled() == 4);
  backend.hang_up(pipe);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(reader.try_join() == Readiness{.hangup = true});
  CHECK(writer.try_join() == Readiness{.hangup = true});
  CHECK(state_of(executor) == State{.fds = 2, .tasks = 2, .polls = 6, .completed = 2});
  backend.break_off(full);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(full_reader.try_join() == Readiness{.error = true});
  CHECK(full_writer.try_join() == Readiness{.error = true});
  CHECK(state_of(executor) == State{.polls = 8, .completed = 4});
}

TEMPLATE_TEST_CASE("two readers on one fd: both are woken, and the later one finds nothing and waits again",
                   "[reactor]", EVERY_BACKEND) {
  // Spurious readiness, as it happens for real: what was announced is gone when the task comes to it.
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_reader();
  bool full = false;
  std::vector<int> readers;
  const auto read = [](TestType& files, int from, bool& there, std::vector<int>& order, int number) -> Async<void> {
    for (;;) {
      co_await FdEvent(from, Interest::read);
      if (!there) continue;  // EAGAIN
      there = false;
      files.make_unreadable(from);
      order.push_back(number);
      co_return;
    }
  };
  JoinHandle<void> first = executor.spawn(read, std::ref(backend), fd, std::ref(full), std::ref(readers), 1);
  JoinHandle<void> second = executor.spawn(read, std::ref(backend), fd, std::ref(full), std::ref(readers), 2);
  CHECK(executor.run_until_stalled() == 2);
  full = true;
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(readers == std::vector<int>{1});
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 2, .polls = 4, .completed = 1});
  full = true;
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(readers == std::vector<int>{1, 2});
  CHECK(state_of(executor) == State{.tasks = 2, .polls = 5, .completed = 2});
}

TEMPLATE_TEST_CASE("level-triggered: what was not taken is announced again", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_reader();
  backend.make_readable(fd);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    CHECK(executor.block_on(FdEvent(fd, Interest::read)) == Readiness{.readable = true});
    CHECK(state_of(executor) == State{.polls = 2 * i, .completed = i});
  }
  backend.make_unreadable(fd);
  JoinHandle<Readiness> task = executor.spawn(FdEvent(fd, Interest::read));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 11, .completed = 5});
}

TEMPLATE_TEST_CASE("a cancelled wait leaves the table at once; what is left is still found", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  std::vector<int> fds;
  std::vector<std::optional<JoinHandle<Readiness>>> tasks;
  constexpr std::size_t count = 40;
  for (std::size_t i = 0; i < count; ++i) {
    fds.push_back(backend.open_reader());
    tasks.emplace_back(executor.spawn(wait_for(fds.back(), Interest::read)));
  }
  CHECK(executor.run_until_stalled() == count);
  // From the middle outwards, so that places move about.
  std::size_t left = count;
  for (std::size_t i = 0; i < count; i += 3) {
    tasks.at((i * 7) % count).reset();
    CHECK(executor.reactor().size() == --left);
  }
  for (const int fd : fds) backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == left);
  for (auto& task : tasks) {
    if (task) CHECK(task->is_finished());
  }
  CHECK(state_of(executor) ==
        State{.tasks = left, .polls = count + left, .completed = left, .cancelled = count - left});
}

TEMPLATE_TEST_CASE("an event that comes while the executor sleeps", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_reader();
  int parked = 0;
  backend.while_parked([&] {
    ++parked;
    CHECK(executor.reactor().size() == 1);
    backend.make_readable(fd);
  });
  CHECK(executor.block_on(FdEvent(fd, Interest::read)) == Readiness{.readable = true});
  CHECK(parked == 1);
  CHECK(state_of(executor) == State{.polls = 2, .completed = 1});
}

TEMPLATE_TEST_CASE("an FdEvent that is polled again by another task wakes that one", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_reader();
  FdEvent event(fd, Interest::read);
  std::optional<JoinHandle<Readiness>> first(executor.spawn(PollIt{event}));
  executor.run_until_stalled();
  JoinHandle<Readiness> second = executor.spawn(PollIt{event});
  first.reset();
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 2, .cancelled = 1});
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(second.is_finished());
}

TEMPLATE_TEST_CASE("an fd that is closed and reopened between waits, by a task woken in the same batch", "[reactor]", EVERY_BACKEND) {
  // Both readers are woken; the first closes the other's fd and opens a new file under the number. The second one's
  // readiness is a hint about a file that is gone: it finds nothing there, and waits for the new one.
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int mine = backend.open_reader();
  const int other = backend.open_reader();
  bool there = true;
  const auto replace = [](TestType& files, int trigger, int target, bool& has_bytes) -> Async<void> {
    co_await FdEvent(trigger, Interest::read);
    files.reopen(target);
    has_bytes = false;
  };
  const auto read = [](int from, bool& has_bytes, int& rounds) -> Async<void> {
    do {
      ++rounds;
      co_await FdEvent(from, Interest::read);
    } while (!has_bytes);
  };
  int rounds = 0;
  JoinHandle<void> replacer = executor.spawn(replace, std::ref(backend), mine, other, std::ref(there));
  JoinHandle<void> reader = executor.spawn(read, other, std::ref(there), std::ref(rounds));
  executor.run_until_stalled();
  backend.make_readable(mine);
  backend.make_readable(other);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(replacer.is_finished());
  CHECK(!reader.is_finished());
  CHECK(rounds == 2);
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 2, .polls = 4, .completed = 1});
  there = true;
  backend.make_readable(other);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(reader.is_finished());
}

TEMPLATE_TEST_CASE("an FdEvent outlives its executor, and waits in another", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  const int fd = backend.open_reader();
  FdEvent event(fd, Interest::read);
  {
    Executor gone;  // with a reactor of its own, that goes with it
    gone.spawn_detached(PollIt{event});
    if constexpr (!std::is_same_v<TestType, SimulatedBackend>) gone.run_until_stalled();
  }
  Executor executor({.reactor = &backend.reactor()});
  JoinHandle<Readiness> task = executor.spawn(PollIt{event});
  executor.run_until_stalled();
  backend.make_readable(fd);
  executor.run_until_stalled();
  CHECK(task.try_join() == Readiness{.readable = true});
  CHECK(executor.reactor().size() == 0);
}

TEST_CASE("spurious readiness of a simulated fd: reported once, and no state is left", "[reactor]") {
  assay::testkit::SimulatedReactor reactor;
  Executor executor({.reactor = &reactor});
  JoinHandle<Readiness> task = executor.spawn(FdEvent(5, Interest::read));
  executor.run_until_stalled();
  reactor.pulse(5, POLLIN);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.try_join() == Readiness{.readable = true});
  JoinHandle<Readiness> again = executor.spawn(FdEvent(5, Interest::read));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 3, .completed = 1});
}
