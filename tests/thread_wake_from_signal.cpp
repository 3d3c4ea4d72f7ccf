// Shows that a signal handler may wake a task by reference, whatever it interrupts: the executor while it sleeps, while it polls and
// while it looks at its inbox, on its own thread. No signal is lost, and errno is as it was.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <thread>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// What the handler has: set before the signal can come, and valid as long as it may.
std::atomic<const Waker*> to_wake{nullptr};
std::atomic<std::uint64_t> signals{0};
std::atomic<std::uint64_t> errno_changed{0};

void on_signal(int) {
  const int before = errno;
  ++signals;
  if (const Waker* const waker = to_wake) waker->wake_by_ref();
  if (errno != before) ++errno_changed;
  errno = before;
}

class CatchSignals {
 public:
  CatchSignals() {
    signals = 0;
    errno_changed = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGUSR2, &action, &before_);
  }
  ~CatchSignals() {
    ::sigaction(SIGUSR2, &before_, nullptr);
    to_wake = nullptr;
  }
  CatchSignals(const CatchSignals&) = delete;
  CatchSignals& operator=(const CatchSignals&) = delete;

 private:
  struct sigaction before_ {};
};

// Ready when `wanted` signals have come. Puts its Waker where the handler finds it.
class Signals {
 public:
  using Output = std::uint64_t;
  Signals(std::uint64_t wanted, std::optional<Waker>& place) : wanted_(wanted), place_(place) {}
  Poll<std::uint64_t> poll(Context& context) {
    ++polls_;
    if (!place_) {
      place_.emplace(context.waker());
      to_wake = &*place_;
    }
    return signals >= wanted_ ? Poll<std::uint64_t>(Ready(polls_)) : Poll<std::uint64_t>(Pending);
  }

 private:
  std::uint64_t wanted_;
  std::optional<Waker>& place_;
  std::uint64_t polls_ = 0;
};

Async<void> yield_for_ever() {
  for (;;) co_await yield_now();
}

}  // namespace

TEST_CASE("a signal handler wakes a task of the executor that it interrupts", "[thread][signal]") {
  const bool is_busy = GENERATE(false, true);
  const std::uint64_t count = scaled(1'000, 20);
  const CatchSignals caught;
  std::optional<Waker> waker;
  Executor executor;
  std::optional<JoinHandle<void>> other;
  if (is_busy) other.emplace(executor.spawn(yield_for_ever()));
  const pthread_t owner = ::pthread_self();
  std::thread sender([owner, count] {
    for (std::uint64_t number = 1; number <= count; ++number) {
      ::pthread_kill(owner, SIGUSR2);
      while (signals < number) std::this_thread::yield();  // a signal that is pending already would be lost
    }
  });
  const std::uint64_t polls = executor.block_on(Signals(count, waker));
  sender.join();
  CHECK(signals == count);
  CHECK(errno_changed == 0);
  CHECK(polls >= 1);
  CHECK(polls <= count + 1);
  CHECK(executor.stats().remote_wakes <= count);
  to_wake = nullptr;
  waker.reset();
  executor.check_deep();
}

TEST_CASE("a signal handler wakes on a thread that is not the executor's, and after its end", "[thread][signal]") {
  const CatchSignals caught;
  std::optional<Waker> waker;
  Ledger ledger;
  std::optional<Executor> executor(std::in_place);
  Probe probe(*executor, ledger);
  JoinHandle<std::uint64_t> handle = executor->spawn(Signals(1, waker));
  CHECK(executor->run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1});
  std::thread([] { ::pthread_kill(::pthread_self(), SIGUSR2); }).join();
  CHECK(signals == 1);
  CHECK(executor->run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .remote_wakes = 1, .enqueued = 1, .live = 1});
  CHECK(handle.try_join() == 2);
  executor.reset();
  ::pthread_kill(::pthread_self(), SIGUSR2);
  CHECK(signals == 2);
  CHECK(errno_changed == 0);
  waker.reset();
}
