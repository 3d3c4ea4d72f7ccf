// Another thread wakes an executor that sleeps in poll(2): at once, once, and without a trace.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"
#include "support/scale.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
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
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

// A number that other threads raise, and one task waits for.
class Counter {
 public:
  void raise() {
    std::unique_lock lock(mutex_);
    ++value_;
    const Waker waker = std::exchange(waker_, Waker());
    lock.unlock();
    waker.wake_by_ref();
  }

  // Ready when the number is at least `target`.
  struct AtLeast {
    using Output = void;
    Counter& counter;
    std::uint64_t target;
    Poll<void> poll(Context& context) {
      const std::lock_guard lock(counter.mutex_);
      if (counter.value_ >= target) return Ready();
      counter.waker_ = context.waker();
      return Pending;
    }
  };

 private:
  std::mutex mutex_;
  std::uint64_t value_ = 0;
  Waker waker_;
};

}  // namespace

TEST_CASE("a wake from another thread while poll sleeps", "[reactor]") {
  for (const bool with_fds : {false, true}) {
    SystemFaults calls;
    Pipe pipe;
    Executor executor;
    std::optional<JoinHandle<Readiness>> reader;
    if (with_fds) reader.emplace(executor.spawn(FdEvent(pipe.reader(), Interest::read)));
    Counter counter;
    std::atomic<bool> asleep = false;
    calls.before_blocking = [&] { asleep.store(true); };
    const pid_t sleeper = assay::test::thread_number();
    std::thread thread([&] {
      while (!asleep.load()) std::this_thread::yield();
      assay::test::until_asleep(sleeper);
      counter.raise();
    });
    executor.block_on(Counter::AtLeast{counter, 1});
    thread.join();
    CHECK(executor.run_until_stalled() == 0);  // takes back what the dropped waker released
    const std::size_t readers = with_fds ? 1 : 0;
    CHECK(state_of(executor) == State{.fds = readers, .tasks = readers, .polls = 2 + readers, .completed = 1});
    CHECK(executor.stats().remote_wakes == 1);
    CHECK(calls.calls(SystemCall::write) == 1);
    CHECK(calls.calls(SystemCall::read) == 1);
  }
}

TEST_CASE("a wake between the last look and the sleep is not lost", "[reactor]") {
  SystemFaults calls;
  Executor executor;
  Counter counter;
  int wakes = 0;
  // On the waiting thread itself, after it has announced its sleep and before it sleeps: the eventfd must be raised.
  calls.before_blocking = [&] {
    ++wakes;
    counter.raise();
  };
  for (std::uint64_t i = 1; i <= 100; ++i) executor.block_on(Counter::AtLeast{counter, i});
  CHECK(wakes == 100);
  CHECK(calls.calls(SystemCall::write) == 100);
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.polls = 200, .completed = 100});
}

TEST_CASE("many wakes from several threads, asleep and awake", "[reactor]") {
  // Whatever the interleaving: every raise is seen, and the end is reached.
  const std::uint64_t each = assay::test::scaled(20'000, 100);
  Pipe pipe;
  Executor executor;
  JoinHandle<Readiness> reader = executor.spawn(FdEvent(pipe.reader(), Interest::read));
  JoinHandle<void> sleeper = executor.spawn(assay::sleep(1h));
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t k = 0; k < each; ++k) counter.raise();
    });
  }
  const auto follow = [](Counter& of, std::uint64_t last) -> Async<void> {
    for (std::uint64_t i = 1; i <= last; ++i) {
      Counter::AtLeast next{of, i};
      co_await next;
    }
  };
  executor.block_on(follow, std::ref(counter), 3 * each);
  for (std::thread& thread : threads) thread.join();
  executor.run_until_stalled();
  CHECK(state_of(executor) ==
        State{.timers = 1, .fds = 1, .tasks = 2, .polls = executor.stats().polls, .completed = 1});
}
