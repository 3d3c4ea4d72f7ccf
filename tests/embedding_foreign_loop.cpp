// pollable_fd(): an executor inside somebody else's poll loop. The fd is readable when, and only when,
// run_until_stalled() would have work to do.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "reactor_files.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Context;
using assay::Executor;
using assay::FdEvent;
using assay::Instant;
using assay::Interest;
using assay::JoinHandle;
using assay::Pending;
using assay::Poll;
using assay::Readiness;
using assay::Ready;
using assay::Waker;
using assay::test::becomes_readable;
using assay::test::is_readable;
using assay::test::Pipe;
using assay::test::SocketPair;
using assay::test::State;
using assay::test::state_of;

namespace {

// The machine's time, which stands still until it is told.
class HeldClock final : public assay::Clock {
 public:
  Instant now() noexcept override { return now_; }
  bool skip_to(Instant) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  void advance(assay::Duration by) { now_ += by; }

 private:
  Instant now_ = std::chrono::time_point_cast<assay::Duration>(std::chrono::steady_clock::now());
};

struct FromThread {
  using Output = void;
  std::atomic<bool>& done;
  std::optional<Waker>& waker;
  Poll<void> poll(Context& context) {
    if (done.load()) return Ready();
    waker = context.waker();
    return Pending;
  }
};

// The foreign loop: blocks on the fd, and gives the executor a turn, until the task is done. Returns how many turns.
template <class T>
int run_in_foreign_loop(Executor& executor, JoinHandle<T>& task) {
  int turns = 0;
  while (!task.is_finished() && turns < 1000) {
    if (!becomes_readable(executor.pollable_fd())) return -1;
    executor.run_until_stalled();
    ++turns;
  }
  return turns;
}

}  // namespace

TEST_CASE("idle: the fd is not readable, however often one looks", "[embedding]") {
  Executor executor;
  const int fd = executor.pollable_fd();
  for (int i = 0; i < 3; ++i) {
    CHECK(!is_readable(fd));
    CHECK(executor.pollable_fd() == fd);
    CHECK(executor.run_until_stalled() == 0);
  }
  Pipe pipe;
  JoinHandle<Readiness> reader = executor.spawn(FdEvent(pipe.reader(), Interest::read));
  JoinHandle<void> sleeper = executor.spawn(assay::sleep(1h));
  executor.run_until_stalled();
  for (int i = 0; i < 3; ++i) {
    CHECK(!is_readable(fd));
    CHECK(executor.run_until_stalled() == 0);
  }
  CHECK(state_of(executor) == State{.timers = 1, .fds = 1, .tasks = 2, .polls = 2});
}

TEST_CASE("a ready task makes it readable", "[embedding]") {
  Executor executor;
  SECTION("spawned before the first call") {
    JoinHandle<void> task = executor.spawn(assay::yield_now());
    const int fd = executor.pollable_fd();
    CHECK(is_readable(fd));
    executor.run_until_stalled();
    CHECK(!is_readable(fd));
    CHECK(task.is_finished());
  }
  SECTION("spawned between two turns: from the next call on") {
    const int fd = executor.pollable_fd();
    CHECK(!is_readable(fd));
    JoinHandle<void> task = executor.spawn(assay::yield_now());
    CHECK(executor.pollable_fd() == fd);
    CHECK(is_readable(fd));
    executor.run_until_stalled();
    CHECK(!is_readable(fd));
  }
}

TEST_CASE("a timer that comes due makes it readable; never before", "[embedding]") {
  HeldClock clock;
  Executor executor({.clock = &clock});
  const int fd = executor.pollable_fd();
  const auto start = std::chrono::steady_clock::now();
  JoinHandle<void> task = executor.spawn(assay::sleep(3ms));
  executor.run_until_stalled();
  CHECK(becomes_readable(fd));
  CHECK(std::chrono::steady_clock::now() >= start + 3ms);
  clock.advance(3ms);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.is_finished());
  CHECK(!is_readable(fd));
  SECTION("the earlier of two") {
    JoinHandle<void> late = executor.spawn(assay::sleep(1h));
    executor.run_until_stalled();
    CHECK(!is_readable(fd));
    JoinHandle<void> early = executor.spawn(assay::sleep(1ms));
    executor.run_until_stalled();
    CHECK(becomes_readable(fd));
    clock.advance(1ms);
    CHECK(executor.run_until_stalled() == 1);
    CHECK(early.is_finished());
    CHECK(!is_readable(fd));
  }
  SECTION("a cancelled one does not") {
    JoinHandle<void> cancelled = executor.spawn(assay::sleep_until(executor.now()));
    executor.poll_once();
    cancelled.cancel();
    executor.run_until_stalled();
    CHECK(!is_readable(fd));
  }
  SECTION("the end of time does not") {
    JoinHandle<void> endless = executor.spawn(assay::sleep_until(Instant::max()));
    executor.run_until_stalled();
    CHECK(!is_readable(fd));
  }
  CHECK(executor.reactor().size() == 0);
}

TEST_CASE("a timer of a virtual clock does not, until the clock is told", "[embedding]") {
  assay::VirtualClock clock;
  Executor executor({.clock = &clock});
  JoinHandle<void> task = executor.spawn(assay::sleep(10ns));
  executor.run_until_stalled();
  const int fd = executor.pollable_fd();
  CHECK(!is_readable(fd));
  clock.advance(10ns);
  CHECK(executor.pollable_fd() == fd);
  CHECK(is_readable(fd));
  executor.run_until_stalled();
  CHECK(task.is_finished());
  CHECK(!is_readable(fd));
}

TEST_CASE("an fd that becomes ready makes it readable; two waits on one fd, and other ends of it", "[embedding]") {
  Executor executor;
  const int fd = executor.pollable_fd();
  SocketPair sockets;
  JoinHandle<Readiness> first = executor.spawn(FdEvent(sockets.reader(), Interest::read));
  JoinHandle<Readiness> second = executor.spawn(FdEvent(sockets.reader(), Interest::read));
  executor.run_until_stalled();
  CHECK(!is_readable(fd));
  JoinHandle<Readiness> writer = executor.spawn(FdEvent(sockets.reader(), Interest::write));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(writer.is_finished());
  CHECK(!is_readable(fd));  // nobody waits to write any more
  sockets.write("x");
  CHECK(is_readable(fd));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(first.is_finished());
  CHECK(second.is_finished());
  CHECK(!is_readable(fd));  // the byte is still there, and nobody waits for it
  JoinHandle<Readiness> third = executor.spawn(FdEvent(sockets.reader(), Interest::read));
  executor.run_until_stalled();
  CHECK(third.is_finished());
  CHECK(sockets.read() == "x");
  JoinHandle<Readiness> fourth = executor.spawn(FdEvent(sockets.reader(), Interest::read));
  executor.run_until_stalled();
  fourth.cancel();
  executor.run_until_stalled();
  sockets.write("y");
  CHECK(!is_readable(fd));
  JoinHandle<Readiness> fifth = executor.spawn(FdEvent(sockets.writer(), Interest::read));
  executor.run_until_stalled();
  sockets.close_reader();
  CHECK(is_readable(fd));
  executor.run_until_stalled();
  CHECK(fifth.try_join()->hangup);
  CHECK(!is_readable(fd));
  CHECK(executor.reactor().size() == 0);
}

TEST_CASE("an fd closed by the task that waited for it, while a copy of it lives on", "[embedding]") {
  Executor executor;
  Pipe pipe;
  const int copy = assay::test::checked(::dup(pipe.reader()), "dup");
  const int number = pipe.reader();
  const int fd = executor.pollable_fd();
  const auto wait_and_close = [](Pipe& closes) -> Async<void> {
    co_await FdEvent(closes.reader(), Interest::read);
    closes.close_reader();
  };
  JoinHandle<void> task = executor.spawn(wait_and_close, std::ref(pipe));
  executor.run_until_stalled();
  CHECK(!is_readable(fd));
  pipe.write("for ever readable through the copy");
  CHECK(becomes_readable(fd));
  SECTION("the number stays free") {
    CHECK(executor.run_until_stalled() == 1);
    CHECK(!is_readable(fd));
  }
  SECTION("the number is another file's, and waited for, in the same turn") {
    Pipe other;
    const auto reuse = [](Pipe& closes, Pipe& opens, int to) -> Async<void> {
      while (closes.reader() >= 0) co_await assay::yield_now();
      assay::test::checked(::dup2(opens.reader(), to), "dup2");
      co_await FdEvent(to, Interest::read);
    };
    JoinHandle<void> next = executor.spawn(reuse, std::ref(pipe), std::ref(other), number);
    executor.run_until_stalled();
    CHECK(task.is_finished());
    CHECK(!is_readable(fd));
    other.write("x");
    CHECK(becomes_readable(fd));
    CHECK(executor.run_until_stalled() == 1);
    CHECK(next.is_finished());
    ::close(number);
    CHECK(executor.pollable_fd() == fd);
    CHECK(!is_readable(fd));
  }
  CHECK(task.is_finished());
  CHECK(executor.reactor().size() == 0);
  ::close(copy);
}

TEST_CASE("turns in a foreign loop allocate nothing", "[embedding]") {
  Executor executor;
  Pipe pipe;
  const int fd = executor.pollable_fd();
  const auto reader = [](Pipe& through) -> Async<void> {
    for (;;) {
      co_await FdEvent(through.reader(), Interest::read);
      std::array<char, 8> bytes{};
      static_cast<void>(::read(through.reader(), bytes.data(), bytes.size()));
    }
  };
  JoinHandle<void> task = executor.spawn(reader, std::ref(pipe));
  executor.run_until_stalled();
  const auto turn = [&] {
    static_cast<void>(::write(pipe.writer(), "x", 1));
    const bool was_readable = is_readable(fd);
    return was_readable && executor.run_until_stalled() == 1 && !is_readable(fd);
  };
  CHECK(turn());
  const std::uint64_t before = assay::testkit::allocation_counts().news;
  bool all = true;
  for (int i = 0; i < 100; ++i) all = turn() && all;
  const std::uint64_t after = assay::testkit::allocation_counts().news;
  CHECK(all);
  CHECK(after == before);
}

TEST_CASE("an fd closed and its number reused between turns", "[embedding]") {
  Executor executor;
  const int fd = executor.pollable_fd();
  auto pipe = std::make_unique<Pipe>();
  const int number = pipe->reader();
  std::optional<JoinHandle<Readiness>> task(executor.spawn(FdEvent(number, Interest::read)));
  executor.run_until_stalled();
  task.reset();
  pipe.reset();
  pipe = std::make_unique<Pipe>();
  REQUIRE(pipe->reader() == number);
  task.emplace(executor.spawn(FdEvent(number, Interest::read)));
  executor.run_until_stalled();
  CHECK(!is_readable(fd));
  pipe->write("x");
  CHECK(is_readable(fd));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task->is_finished());
  CHECK(!is_readable(fd));
}

TEST_CASE("another thread's wake makes it readable, and only until the executor has seen it", "[embedding]") {
  Pipe pipe;
  for (const bool with_fds : {false, true}) {
    Executor executor;
    const int fd = executor.pollable_fd();
    std::optional<JoinHandle<Readiness>> reader;
    if (with_fds) reader.emplace(executor.spawn(FdEvent(pipe.reader(), Interest::read)));
    for (int round = 0; round < 3; ++round) {
      std::atomic<bool> done = false;
      std::optional<Waker> waker;
      JoinHandle<void> task = executor.spawn(FromThread{done, waker});
      executor.run_until_stalled();
      CHECK(!is_readable(fd));
      std::thread thread([&] {
        done.store(true);
        std::move(*waker).wake();
        waker.reset();
      });
      CHECK(becomes_readable(fd));
      thread.join();
      CHECK(executor.run_until_stalled() == 1);
      CHECK(task.is_finished());
      CHECK(!is_readable(fd));  // or the foreign loop would spin
      CHECK(executor.run_until_stalled() == 0);
      CHECK(!is_readable(fd));
    }
  }
}

TEST_CASE("wakes from another thread in every phase of a foreign loop are all seen", "[embedding]") {
  Executor executor;
  std::atomic<std::uint64_t> value = 0;
  std::atomic<std::uint64_t> seen = 0;
  std::optional<Waker> waker;
  struct Next {
    using Output = void;
    std::atomic<std::uint64_t>& value;
    std::optional<Waker>& waker;
    std::uint64_t target;
    Poll<void> poll(Context& context) {
      if (!waker) waker = context.waker();
      if (value.load() >= target) return Ready();
      return Pending;
    }
  };
  constexpr std::uint64_t rounds = 2000;
  const auto follow = [](std::atomic<std::uint64_t>& of, std::atomic<std::uint64_t>& at,
                         std::optional<Waker>& by) -> Async<void> {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      Next next{of, by, i};
      co_await next;
      at.store(i);
    }
  };
  JoinHandle<void> task = executor.spawn(follow, std::ref(value), std::ref(seen), std::ref(waker));
  executor.run_until_stalled();
  const Waker copy = *waker;
  std::thread thread([&value, &seen, copy] {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      value.store(i);
      copy.wake_by_ref();
      if (i % 16 == 0) {
        while (seen.load() < i) std::this_thread::yield();
      }
    }
  });
  int turns = 0;
  while (!task.is_finished()) {
    if (!becomes_readable(executor.pollable_fd())) break;
    executor.run_until_stalled();
    ++turns;
  }
  CHECK(task.is_finished());
  thread.join();
  waker.reset();
  CHECK(turns >= 1);
}

TEST_CASE("a regular file, which epoll refuses, is ready at once as poll(2) says", "[embedding]") {
  Executor executor;
  const int fd = executor.pollable_fd();
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  JoinHandle<Readiness> task = executor.spawn(FdEvent(::fileno(file), Interest::read));
  CHECK(run_in_foreign_loop(executor, task) <= 2);
  CHECK(task.try_join() == Readiness{.readable = true});
  executor.run_until_stalled();
  CHECK(!is_readable(fd));
  // One that waits when the executor stalls: the fd says so at once.
  std::fclose(file);
}

TEST_CASE("a whole program in a foreign loop: sleeps, fds and yields", "[embedding]") {
  Executor executor;
  Pipe pipe;
  const auto program = [](Pipe& through) -> Async<int> {
    int bytes = 0;
    for (int i = 0; i < 5; ++i) {
      co_await assay::sleep(200us);
      through.write("abc");
      co_await FdEvent(through.reader(), Interest::read);
      const std::string got = through.read();
      bytes += static_cast<int>(got.size());
      co_await assay::yield_now();
    }
    co_return bytes;
  };
  JoinHandle<int> task = executor.spawn(program, std::ref(pipe));
  const int turns = run_in_foreign_loop(executor, task);
  CHECK(turns >= 1);  // on a slow machine much happens in a turn
  CHECK(turns <= 20);  // it is woken for work, not all the time
  CHECK(task.try_join() == 15);
  CHECK(state_of(executor) == State{.polls = executor.stats().polls, .completed = 1});
}

TEST_CASE("two executors in one foreign loop, and block_on in between", "[embedding]") {
  Executor a;
  Executor b;
  JoinHandle<void> in_a = a.spawn(assay::sleep(1ms));
  JoinHandle<void> in_b = b.spawn(assay::sleep(2ms));
  a.run_until_stalled();
  b.run_until_stalled();
  const int fd_a = a.pollable_fd();
  const int fd_b = b.pollable_fd();
  CHECK(fd_a != fd_b);
  CHECK(becomes_readable(fd_a));
  a.run_until_stalled();
  CHECK(in_a.is_finished());
  CHECK(becomes_readable(fd_b));
  b.block_on(in_b);
  b.run_until_stalled();
  CHECK(!is_readable(fd_a));
  CHECK(!is_readable(fd_b));
}
