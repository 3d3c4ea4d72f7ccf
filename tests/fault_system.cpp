// Every system call fails, in its turn, with every error that it can give: once, and from there on; short reads and writes; waits that
// report what is not ready. What the runtime promises then: making throws std::system_error and leaves nothing; reads and writes give
// the error to who asked; what can be done another way is done that way; an error that can only mean that somebody has closed or replaced
// what is the executor's own ends the program with a line. After all else the executor works, and every file descriptor is closed.
#include <pthread.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/assay.hpp"
#include "assay/epoll_reactor.hpp"
#include "fault_support.hpp"
#include "reactor_files.hpp"

using namespace assay;
using namespace std::chrono_literals;
using assay::test::check_loop;
using assay::test::expect_usable;
using assay::test::SiteRecord;
using assay::test::with;
using assay::testkit::each_system_call_fails;
using assay::testkit::expect;
using assay::testkit::FaultLoop;
using assay::testkit::FaultRegion;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

Async<void> waits_for(int fd, Interest interest) {
  const Readiness ready = co_await FdEvent(fd, interest);
  static_cast<void>(ready);
}

// Until so many bytes have come, or there is an error.
Async<std::size_t> reads(FdSource& source, std::size_t wanted) {
  std::size_t all = 0;
  std::array<std::byte, 16> bytes{};
  while (all < wanted) {
    const IoResult got = co_await source.read(bytes);
    if (got.error != 0 || got.bytes == 0) break;
    all += got.bytes;
  }
  co_return all;
}

Async<std::size_t> writes(FdSource& source, std::size_t wanted) {
  std::size_t all = 0;
  const std::vector<std::byte> bytes(16, std::byte{'w'});
  while (all < wanted) {
    const IoResult put = co_await source.write(std::span(bytes));
    if (put.error != 0) break;
    all += put.bytes;
  }
  co_return all;
}

// Whenever the executor is about to sleep, a pair has something to read and, from full, room to write.
void keeps_going(test::Pair& incoming, test::Pair& outgoing) {
  const std::string bytes(9, 'r');
  static_cast<void>(!::write(incoming.writer(), bytes.data(), bytes.size()));
  outgoing.fill();
  outgoing.read();
}

// Not by std::thread, which allocates here and frees there: allocations are counted by thread.
void wake_from_another_thread(std::optional<Waker>& waker) {
  const auto body = [](void* given) -> void* {
    auto& there = *static_cast<std::optional<Waker>*>(given);
    Waker mine = std::move(*there);
    there.reset();
    std::move(mine).wake();
    return nullptr;
  };
  pthread_t thread{};
  expect(::pthread_create(&thread, nullptr, body, &waker) == 0, "no thread");
  ::pthread_join(thread, nullptr);
}

// Sockets that are read, and a pipe that is written to; and the other way round.
void read_and_write(FaultRegion& faults, SystemFaults& calls, Backend backend, FdKind kind) {
  test::SocketPair sockets;
  test::Pipe pipe;
  test::SocketPair more_sockets;
  test::Pipe more_pipe;
  pipe.fill();
  more_sockets.fill();
  Executor executor(with(backend));
  calls.before_blocking = [&] {
    keeps_going(sockets, pipe);
    keeps_going(more_pipe, more_sockets);
  };
  std::array<std::size_t, 4> done{};
  faults([&] {
    FdSource from_socket(sockets.reader(), kind);
    FdSource to_pipe(pipe.writer(), kind);
    FdSource from_pipe(more_pipe.reader(), kind);
    FdSource to_socket(more_sockets.writer(), kind);
    const auto all = [&]() -> Async<void> {
      auto both = join(reads(from_socket, 20), writes(to_pipe, 40), reads(from_pipe, 20), writes(to_socket, 40));
      const auto [one, two, three, four] = co_await both;
      done = {one, two, three, four};
    };
    executor.block_on(all);
  });
  calls.before_blocking = nullptr;
  if (faults.faults() == 0) expect(done.at(0) >= 20 && done.at(1) >= 40 && done.at(2) >= 20 && done.at(3) >= 40, "bytes are missing");
  expect(executor.reactor().size() == 0, "waits are left");
  expect_usable(executor);
}

}  // namespace

TEST_CASE("an executor and its pollable fd are made, or std::system_error thrown", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_system_call_fails([&](FaultRegion& faults) {
    std::optional<Executor> executor;
    faults([&] { executor.emplace(with(backend)); });
    if (!executor) executor.emplace(with(backend));
    faults([&] { executor->pollable_fd(); });
    expect(executor->pollable_fd() >= 0, "no pollable fd");
    expect_usable(*executor);
    faults([&] { executor.reset(); });
  }));
}

TEST_CASE("an executor sleeps, with and without file descriptors to wait for", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_system_call_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    Executor executor(with(backend));
    const Instant start = executor.now();
    bool slept = false;
    faults([&] {
      executor.block_on(sleep(100us));
      slept = true;
    });
    expect(!slept || executor.now() - start >= 100us, "too early");
    {
      JoinHandle<void> waits;
      faults([&] {
        waits = executor.spawn(waits_for(pipe.reader(), Interest::read));
        executor.block_on(sleep(1ms));
        executor.block_on(sleep(1ms));
      });
      pipe.write("x");
      executor.block_on(waits);
    }
    expect_usable(executor);
  }), false);
}

TEST_CASE("sources are read and written: an error is its operation's result", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  const FdKind kind = GENERATE(FdKind::any, FdKind::byte_stream);
  check_loop(each_system_call_fails([&](FaultRegion& faults) { read_and_write(faults, *faults.calls(), backend, kind); }), false);
}

TEST_CASE("waits are told, of a pipe and of a file that epoll refuses", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_system_call_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    test::Pipe quiet;
    std::FILE* const regular = std::tmpfile();
    {
      Executor executor(with(backend));
      const int fd = ::fileno(regular);
      JoinHandle<void> waits = executor.spawn(waits_for(quiet.reader(), Interest::read));
      pipe.write("x");
      faults([&] {
        executor.block_on(waits_for(fd, Interest::read));
        executor.block_on(waits_for(pipe.reader(), Interest::read));
        executor.block_on(waits_for(pipe.writer(), Interest::write));
      });
      quiet.write("x");
      executor.block_on(waits);
      expect_usable(executor);
    }
    std::fclose(regular);
  }), false);
}

TEST_CASE("another thread wakes a sleeping executor", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  const bool has_fd = GENERATE(false, true);
  check_loop(each_system_call_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    Executor executor(with(backend));
    JoinHandle<void> waits;
    if (has_fd) waits = executor.spawn(waits_for(pipe.reader(), Interest::read));
    std::optional<Waker> kept;
    bool woken = false;
    faults.calls()->before_blocking = [&] {
      if (!kept) return;
      woken = true;
      wake_from_another_thread(kept);
    };
    struct Sleeper {
      using Output = void;
      std::optional<Waker>* kept;
      bool* woken;
      Poll<void> poll(Context& context) {
        if (*woken) return Ready();
        *kept = context.waker();
        return Pending;
      }
    };
    faults([&] {
      executor.block_on(Sleeper{&kept, &woken});
      woken = false;
      executor.block_on(Sleeper{&kept, &woken});
    });
    faults.calls()->before_blocking = nullptr;
    kept.reset();
    if (has_fd) {
      pipe.write("x");
      executor.block_on(waits);
    }
    expect_usable(executor);
  }), false);
}

TEST_CASE("a pollable fd follows what is waited for, closed numbers included", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_system_call_fails([&](FaultRegion& faults) {
    test::Pipe stays;
    std::optional<test::Pipe> goes(std::in_place);
    Executor executor(with(backend));
    const int fd = executor.pollable_fd();
    {
      JoinHandle<void> one = executor.spawn(waits_for(stays.reader(), Interest::read));
      JoinHandle<void> two = executor.spawn(waits_for(goes->reader(), Interest::read));
      const int copy = ::dup(goes->reader());
      faults([&] { executor.run_until_stalled(); });
      two.cancel();
      goes.reset();
      faults([&] {
        executor.run_until_stalled();  // nobody can name any more what the set reports
        JoinHandle<void> slow = executor.spawn(sleep(1h));
        executor.run_until_stalled();
        JoinHandle<void> other = executor.spawn(waits_for(stays.writer(), Interest::read));
        executor.run_until_stalled();
        other.cancel();
        executor.run_until_stalled();
      });
      ::close(copy);
      executor.run_until_stalled();
      expect(executor.pollable_fd() == fd, "another pollable fd");
      pollfd entry{fd, POLLIN, 0};
      expect(::poll(&entry, 1, 0) == 0, "readable, and nothing to do");
      stays.write("x");
      expect(::poll(&entry, 1, 0) == 1, "not readable, and a wait is ready");
      executor.block_on(one);
    }
    expect_usable(executor);
  }), false);
}

TEST_CASE("a reactor of many executors, and events for nobody", "[fault]") {
  const SiteRecord record;
  check_loop(each_system_call_fails([](FaultRegion& faults) {
    test::Pipe pipe;
    test::Pipe closed;
    EpollReactor reactor;
    ExecutorOptions options;
    options.reactor = &reactor;
    const int copy = ::dup(closed.reader());
    {
      std::optional<Executor> executor(std::in_place, options);
      {
        JoinHandle<void> one = executor->spawn(waits_for(pipe.reader(), Interest::read));
        JoinHandle<void> two = executor->spawn(waits_for(closed.reader(), Interest::read));
        faults([&] { executor->block_on(sleep(1us)); });
      }
      pipe.write("x");
      closed.write("x");
      closed.close_reader();
      JoinHandle<void> other = executor->spawn(waits_for(pipe.writer(), Interest::read));
      faults([&] {
        for (int i = 0; i < 3; ++i) executor->block_on(sleep(1us));  // both report, and are removed
      });
      faults([&] {
        other = JoinHandle<void>();
        executor.reset();
      });
    }
    ::close(copy);
    Executor next(options);
    next.block_on(waits_for(pipe.reader(), Interest::read));
    expect_usable(next);
  }), false);
}

TEST_CASE("short reads and writes, and waits that report what is not ready", "[fault]") {
  const Backend backend = ANY_BACKEND();
  const FdKind kind = GENERATE(FdKind::any, FdKind::byte_stream);
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}, std::size_t{0}}) {
    for (const bool lies : {false, true}) {
      CAPTURE(most, lies);
      const testkit::Leftovers before;
      {
        SystemFaults calls;
        calls.shorten(most);
        calls.lie_about_readiness(lies);
        FaultRegion none;
        read_and_write(none, calls, backend, kind);
        CHECK((calls.lies() > 0) == lies);
        calls.lie_about_readiness(false);
      }
      CHECK(before.found() == "");
    }
  }
}

TEST_CASE("what waits for a readiness that is gone again waits on", "[fault]") {
  const Backend backend = ANY_BACKEND();
  test::Pipe pipe;
  SystemFaults calls;
  Executor executor(with(backend));
  FdSource source(pipe.reader());
  JoinHandle<std::size_t> reading = executor.spawn(reads(source, 1));
  executor.run_until_stalled();
  calls.lie_about_readiness(true);
  for (int i = 0; i < 10; ++i) executor.run_until_stalled();
  CHECK(!reading.is_finished());
  calls.lie_about_readiness(false);
  pipe.write("x");
  CHECK(executor.block_on(reading) == 1);
}

// The loop itself.

TEST_CASE("a system call loop sees what a scenario forgets", "[fault][testkit]") {
  const auto failures_of = [](auto scenario) { return each_system_call_fails(scenario).failures; };
  const auto make = [](FaultRegion& faults) {
    faults([] {
      const int made = audited::make_timerfd();
      if (made < 0) throw std::system_error(errno, std::generic_category());
      audited::close_fd(made);
    });
  };
  const FaultLoop fine = each_system_call_fails(make);
  CHECK(fine.failures.empty());
  CHECK(fine.faults == 2 * 6 + 2 * 5);  // six errors of timerfd_create and five of close, in two ways
  CHECK(fine.thrown == 2 * 6);

  const std::vector<std::string> leaks = failures_of([](FaultRegion& faults) {
    faults([] {
      const int first = audited::make_eventfd();
      const int made = audited::make_timerfd();
      if (made < 0) throw std::system_error(errno, std::generic_category());
      audited::close_fd(made);
      audited::close_fd(first);
    });
  });
  REQUIRE(leaks.size() == 2 * 6);
  CHECK(leaks.at(0).find("timerfd_create 1, Invalid argument, once: file descriptor ") == 0);
  CHECK(leaks.at(0).find("is left open") != std::string::npos);

  // An abort without a line of assay's where one may be, and one that has it.
  const auto aborts_of = [&](const char* line) {
    return failures_of([line](FaultRegion& faults) {
      faults([&] {
        const int timer = audited::make_timerfd();
        if (timer < 0) return;
        const int result = audited::set_timerfd(timer, itimerspec{});
        audited::close_fd(timer);
        if (result == 0) return;
        std::fputs(line, stderr);
        std::abort();
      });
    });
  };
  const std::vector<std::string> aborts = aborts_of("a line of another's");
  REQUIRE(aborts.size() == (testkit::forks_are_few() ? 2 * 1 : 2 * 3));  // in two ways
  CHECK(aborts.at(0) == "timerfd_settime 1, Bad file descriptor, once: aborted: a line of another's");
  CHECK(aborts_of("assay: the line").empty());
}
