// Signals and the kernel's bad moods: EINTR, real and injected, in every call; EAGAIN and ENOMEM from ppoll; what
// aborts.
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Backend;
using assay::Context;
using assay::Executor;
using assay::FdEvent;
using assay::Interest;
using assay::JoinHandle;
using assay::Pending;
using assay::Poll;
using assay::Readiness;
using assay::Ready;
using assay::Waker;
using assay::test::check_dies;
using assay::test::nap_until;
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

std::atomic<int> signals_seen{0};

// Valgrind 3.19 does not: the reactor then sleeps for a while by poll(2).
bool has_epoll_pwait2() {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  const timespec at_once{};
  const bool has = ::epoll_pwait2(set, &event, 1, &at_once, nullptr) == 0;
  ::close(set);
  return has;
}

// Catches SIGUSR1 without SA_RESTART while it lives, so that a blocking call returns EINTR.
class CatchSignal {
 public:
  CatchSignal() {
    signals_seen = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { ++signals_seen; };
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGUSR1, &action, &before_);
  }
  ~CatchSignal() { ::sigaction(SIGUSR1, &before_, nullptr); }
  CatchSignal(const CatchSignal&) = delete;
  CatchSignal& operator=(const CatchSignal&) = delete;

 private:
  struct sigaction before_ {};
};

// Woken by another thread, once.
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

}  // namespace

TEST_CASE("a real signal interrupts the sleep: nothing is polled, nothing is lost", "[reactor]") {
  const CatchSignal handler;
  SystemFaults calls;
  Pipe pipe;
  Executor executor;
  std::atomic<int> sleeps = 0;
  calls.before_blocking = [&] { ++sleeps; };
  const pthread_t sleeper = ::pthread_self();
  const pid_t number = assay::test::thread_number();
  constexpr int times = 5;
  std::thread thread([&] {
    for (int i = 1; i <= times; ++i) {
      while (sleeps.load() < i) std::this_thread::yield();
      assay::test::until_asleep(number);
      ::pthread_kill(sleeper, SIGUSR1);
      while (signals_seen.load() < i) std::this_thread::yield();
    }
    while (sleeps.load() <= times) std::this_thread::yield();
    pipe.write("x");
  });
  CHECK(executor.block_on(FdEvent(pipe.reader(), Interest::read)) == Readiness{.readable = true});
  thread.join();
  CHECK(signals_seen.load() == times);
  CHECK(sleeps.load() >= times + 1);
  CHECK(state_of(executor) == State{.polls = 2, .completed = 1});
}

TEST_CASE("ppoll fails with EINTR, EAGAIN or ENOMEM: as if nothing had happened", "[reactor]") {
  const int error = GENERATE(EINTR, EAGAIN, ENOMEM);
  SystemFaults calls;
  Pipe pipe;
  Executor executor({.backend = Backend::poll});
  JoinHandle<Readiness> task = executor.spawn(FdEvent(pipe.reader(), Interest::read));
  executor.run_until_stalled();
  pipe.write("x");
  calls.fail(SystemCall::ppoll, error, 0, 3);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(executor.run_until_stalled() == 0);
    CHECK(calls.failed(SystemCall::ppoll) == i);
    CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 1});
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.is_finished());
  // And while it sleeps.
  calls.fail(SystemCall::ppoll, error, 1, 10);
  nap_until(executor, [&] { return calls.failed(SystemCall::ppoll) >= 4; });
  CHECK(executor.block_on(FdEvent(pipe.reader(), Interest::read)) == Readiness{.readable = true});
  CHECK(calls.failed(SystemCall::ppoll) >= 4);
  CHECK(executor.reactor().size() == 0);
}

TEST_CASE("epoll_wait and epoll_pwait2 fail with EINTR: as if nothing had happened", "[reactor]") {
  SystemFaults calls;
  Pipe pipe;
  Pipe other;
  Executor executor;
  JoinHandle<Readiness> task = executor.spawn(FdEvent(pipe.reader(), Interest::read));
  executor.run_until_stalled();
  pipe.write("x");
  calls.fail(SystemCall::epoll_wait, EINTR, 0, 3);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    CHECK(executor.run_until_stalled() == 0);
    CHECK(calls.failed(SystemCall::epoll_wait) == i);
    CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 1});
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.is_finished());
  // And while it sleeps, for a while and for ever.
  JoinHandle<Readiness> waiting = executor.spawn(FdEvent(other.reader(), Interest::read));
  executor.run_until_stalled();
  calls.fail(SystemCall::epoll_pwait2, EINTR, 0, 3);
  nap_until(executor, [&] { return calls.failed(SystemCall::epoll_pwait2) >= 1; });
  CHECK(calls.failed(SystemCall::epoll_pwait2) >= 1);
  calls.stop(SystemCall::epoll_pwait2);
  calls.fail(SystemCall::epoll_wait, EINTR, 0, 3);
  CHECK(executor.block_on(FdEvent(pipe.reader(), Interest::read)) == Readiness{.readable = true});
  CHECK(calls.failed(SystemCall::epoll_wait) == 6);
  if (has_epoll_pwait2()) CHECK(calls.calls(SystemCall::ppoll) == 0);
  CHECK(executor.reactor().size() == 1);
}

TEST_CASE("EINTR from the eventfd's read and write is retried", "[reactor]") {
  SystemFaults calls;
  Executor executor;
  std::atomic<bool> done = false;
  std::optional<Waker> waker;
  const pid_t sleeper = assay::test::thread_number();
  std::atomic<bool> asleep = false;
  calls.before_blocking = [&] { asleep.store(true); };
  calls.fail(SystemCall::write, EINTR, 0, 3);
  calls.fail(SystemCall::read, EINTR, 0, 3);
  std::thread thread([&] {
    while (!asleep.load()) std::this_thread::yield();
    assay::test::until_asleep(sleeper);
    done.store(true);
    std::move(*waker).wake();
    waker.reset();
  });
  executor.block_on(FromThread{done, waker});
  thread.join();
  CHECK(calls.failed(SystemCall::write) == 3);
  CHECK(calls.failed(SystemCall::read) == 3);
  CHECK(calls.calls(SystemCall::write) == 4);
  CHECK(calls.calls(SystemCall::read) == 4);
  executor.run_until_stalled();  // takes back what the dropped waker released
  CHECK(state_of(executor) == State{.polls = 2, .completed = 1});
}

TEST_CASE("EINTR from close is not retried: the number may be someone else's by then", "[reactor]") {
  SystemFaults calls;
  const std::size_t before = assay::test::open_files();
  {
    Executor executor;
    calls.fail(SystemCall::close, EINTR);
  }
  CHECK(calls.calls(SystemCall::close) == 1);
  CHECK(calls.failed(SystemCall::close) == 1);
  CHECK(assay::test::open_files() == before);
}

TEST_CASE("calls that cannot fail, unless somebody meddled with our fds, abort with a line", "[reactor]") {
  check_dies("poll(2) refused to wait (more file descriptors than RLIMIT_NOFILE?): Invalid argument", [] {
    SystemFaults calls;
    Executor executor;
    calls.fail(SystemCall::ppoll, EINVAL);
    nap_until(executor, [] { return false; });
  });
  check_dies("poll(2) refused to wait (more file descriptors than RLIMIT_NOFILE?): Invalid argument", [] {
    Pipe pipe;
    Executor executor({.backend = Backend::poll});
    for (int i = 0; i < 100; ++i) executor.spawn_detached(FdEvent(pipe.reader(), Interest::read));
    // By another process: Valgrind keeps to itself what a program says of its own limits.
    const rlimit few{50, 50};
    const pid_t other = ::fork();
    if (other == 0) ::_exit(::prlimit(::getppid(), RLIMIT_NOFILE, &few, nullptr));
    ::waitpid(other, nullptr, 0);
    executor.run_until_stalled();
  });
  check_dies("epoll refused to wait (did somebody close or replace the epoll set of an executor?): Invalid argument", [] {
    SystemFaults calls;
    Pipe pipe;
    Executor executor;
    calls.fail(SystemCall::epoll_wait, EINVAL);
    executor.block_on(FdEvent(pipe.reader(), Interest::read));
  });
  check_dies("epoll refused to wait (did somebody close or replace the epoll set of an executor?): Bad file descriptor", [] {
    Pipe pipe;
    Executor executor;
    executor.spawn_detached(FdEvent(pipe.reader(), Interest::read));
    executor.run_until_stalled();
    for (int fd = 0; fd < 64; ++fd) {
      if (fd != STDERR_FILENO) ::close(fd);
    }
    executor.run_until_stalled();
  });
  check_dies("somebody closed a file descriptor that belongs to assay", [] {
    SystemFaults calls;
    const Executor executor;
    calls.fail(SystemCall::close, EBADF);
  });
  check_dies("somebody closed or replaced the eventfd of an executor", [] {
    SystemFaults calls;
    Executor executor;
    calls.fail(SystemCall::write, EBADF);
    std::atomic<bool> done = false;
    std::optional<Waker> waker;
    calls.before_blocking = [&] {
      done.store(true);
      std::move(*waker).wake();
    };
    executor.block_on(FromThread{done, waker});
  });
  check_dies("somebody closed or replaced the eventfd of an executor", [] {
    SystemFaults calls;
    Executor executor;
    calls.fail(SystemCall::read, EBADF);
    std::atomic<bool> done = false;
    std::optional<Waker> waker;
    calls.before_blocking = [&] {
      done.store(true);
      std::move(*waker).wake();
    };
    executor.block_on(FromThread{done, waker});
  });
  check_dies("somebody closed or replaced the timerfd of an executor", [] {
    SystemFaults calls;
    Executor executor;
    calls.fail(SystemCall::timerfd_settime, EBADF);
    executor.pollable_fd();
  });
}
