// Shows that the whole of the same-thread hot path, the coroutines' own code included, neither blocks nor allocates once the pools
// are warm: each part runs as real-time code, which RealtimeSanitizer watches (sanitizer-scripts/rtsan), and counts allocations.
#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/assay.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/realtime.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;
using testkit::in_real_time;

namespace {

constexpr std::uint64_t rounds = 1000;

// Of tests that make coroutines all the time: some builds give every frame to malloc, others keep freed ones from being used again.
void need_recycled_frames() {
  if (audited::FrameClasses::pass_through || audited::FrameClasses::quarantine != 0) SKIP("this build does not recycle coroutine frames");
}

// Real-time code asks the system for nothing, the time included.
ExecutorOptions by(Clock& clock) { return ExecutorOptions{.clock = &clock}; }

// Runs `round` until the pools are warm, then `rounds` times more as real-time code.
template <class Round>
void run_warm(Round&& round) {
  for (int i = 0; i < 100; ++i) round();
  const auto before = testkit::allocation_counts();
  in_real_time([&] {
    for (std::uint64_t i = 0; i < rounds; ++i) round();
  });
  const auto after = testkit::allocation_counts();
  CHECK(after.news == before.news);
  CHECK(after.deletes == before.deletes);
}

Async<int> one() { co_return 1; }
Async<int> two() { co_return co_await one() + co_await one(); }

}  // namespace

TEST_CASE("real time: spawn, run and join", "[task]") {
  need_recycled_frames();
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  Probe probe(executor, ledger);
  int sum = 0;
  run_warm([&] {
    JoinHandle<int> handle = executor.spawn(two());
    executor.run_until_stalled();
    sum += *handle.try_join();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(sum == 2 * static_cast<int>(all));
  CHECK(probe.step() == Step{.spawned = all, .polls = all, .completed = all, .freed = all, .enqueued = all});
}

TEST_CASE("real time: a task spawns and awaits another", "[task]") {
  need_recycled_frames();
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  Probe probe(executor, ledger);
  int sum = 0;
  run_warm([&] {
    executor.spawn_detached([](Executor& mine, int& result) -> Async<void> {
      JoinHandle<int> handle = mine.spawn(two());
      result += co_await handle;
    }, std::ref(executor), std::ref(sum));
    executor.run_until_stalled();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(sum == 2 * static_cast<int>(all));
  CHECK(probe.step() == Step{.spawned = 2 * all, .polls = 3 * all, .completed = 2 * all, .freed = 2 * all,
                             .local_wakes = all, .enqueued = 3 * all});
}

TEST_CASE("real time: yield and wake", "[task]") {
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  Notify to;
  Notify fro;
  std::uint64_t yields = 0;
  std::uint64_t turns = 0;
  JoinHandle<void> yielding = executor.spawn([&yields]() -> Async<void> {
    for (;; ++yields) co_await yield_now();
  });
  JoinHandle<void> left = executor.spawn([&]() -> Async<void> {
    for (;;) {
      to.notify_one();
      co_await fro.notified();
    }
  });
  JoinHandle<void> right = executor.spawn([&]() -> Async<void> {
    for (;; ++turns) {
      co_await to.notified();
      fro.notify_one();
    }
  });
  for (int i = 0; i < 3; ++i) CHECK(executor.poll_once());
  CHECK(turns == 1);
  Probe probe(executor, ledger);
  // The one that yields and one of the other two are ready at any time.
  run_warm([&] {
    for (int i = 0; i < 4; ++i) REQUIRE(executor.poll_once());
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(yields == 2 * all);
  CHECK(turns == all + 1);
  CHECK(probe.step() == Step{.polls = 4 * all, .local_wakes = 4 * all, .enqueued = 4 * all, .live = 3});
  left.cancel();
  right.cancel();
}

TEST_CASE("real time: cancel", "[task]") {
  need_recycled_frames();
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  Probe probe(executor, ledger);
  run_warm([&] {
    JoinHandle<void> handle = executor.spawn([]() -> Async<void> { co_await forever(); });
    executor.run_until_stalled();
    handle.cancel();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(probe.step() == Step{.spawned = all, .polls = all, .cancelled = all, .freed = all, .enqueued = all});
}

TEST_CASE("real time: timers", "[task]") {
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  Probe probe(executor, ledger);
  std::uint64_t fired = 0;
  std::uint64_t timed_out = 0;
  JoinHandle<void> sleeping = executor.spawn([&fired]() -> Async<void> {
    for (;; ++fired) co_await sleep(std::chrono::seconds(1));
  });
  JoinHandle<void> waiting = executor.spawn([&timed_out]() -> Async<void> {
    for (;; ++timed_out) static_cast<void>(co_await timeout(std::chrono::seconds(1), forever()));
  });
  executor.run_until_stalled();
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2});
  run_warm([&] {
    clock.advance(std::chrono::seconds(1));
    executor.run_until_stalled();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(fired == all);
  CHECK(timed_out == all);
  CHECK(probe.step() == Step{.polls = 2 * all, .local_wakes = 2 * all, .enqueued = 2 * all, .live = 2});
}

TEST_CASE("real time: timers armed and cancelled", "[task]") {
  VirtualClock clock;
  Executor executor(by(clock));
  std::vector<Timer> outstanding(GENERATE(0U, 1000U));
  for (Timer& each : outstanding) executor.timers().arm(each, Instant::max(), LocalWaker());
  Timer timer;
  run_warm([&] {
    executor.timers().arm(timer, executor.now() + std::chrono::seconds(1), LocalWaker());
    timer.disarm();
  });
  CHECK(executor.timers().check_deep() == outstanding.size());
}

TEST_CASE("real time: a channel", "[task]") {
  need_recycled_frames();
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  auto ends = channel<std::uint64_t>(2);
  Sender<std::uint64_t>& sender = ends.first;
  Receiver<std::uint64_t>& receiver = ends.second;
  std::uint64_t received = 0;
  JoinHandle<void> receiving = executor.spawn([&]() -> Async<void> {
    while (co_await receiver.recv()) ++received;
  });
  executor.run_until_stalled();
  Probe probe(executor, ledger);
  run_warm([&] {
    JoinHandle<bool> sending = executor.spawn([&sender]() -> Async<bool> {
      for (std::uint64_t i = 0; i < 5; ++i) {
        if (!co_await sender.send(i)) co_return false;
      }
      co_return true;
    });
    executor.run_until_stalled();
    REQUIRE(sending.try_join().value_or(false));
    REQUIRE_FALSE(sender.try_send(5));
    executor.run_until_stalled();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(received == 6 * all);
  const Step step = probe.step();
  CHECK(step.spawned == all);
  CHECK(step.completed == all);
  CHECK(step.freed == all);
  CHECK(step.polls == step.enqueued);
  CHECK(step.stranded == 0);
  CHECK(step.live == 1);
}

TEST_CASE("real time: waits for file descriptors begun and ended", "[task]") {
  const Backend backend = GENERATE(Backend::epoll, Backend::poll);
  Executor executor(ExecutorOptions{.backend = backend});
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  REQUIRE(fd >= 0);
  run_warm([&] {
    FdWait wait(fd, Interest::read);
    executor.reactor().watch(wait, LocalWaker());
    wait.stop();
  });
  CHECK(executor.reactor().check_deep() == 0);
  ::close(fd);
}

TEST_CASE("real time: wakers", "[task]") {
  VirtualClock clock;
  Executor executor(by(clock));
  testkit::Ledger ledger;
  std::optional<LocalWaker> local;
  std::optional<Waker> any;
  struct Keeping {
    using Output = void;
    Poll<void> poll(Context& context) {
      if (!local) local = context.local_waker();
      if (!any) any = context.waker();
      return Pending;
    }
    std::optional<LocalWaker>& local;
    std::optional<Waker>& any;
  };
  JoinHandle<void> handle = executor.spawn(Keeping{local, any});
  executor.run_until_stalled();
  Probe probe(executor, ledger);
  run_warm([&] {
    local->wake_by_ref();
    LocalWaker(*local).wake();
    executor.run_until_stalled();
    any->wake_by_ref();
    Waker(*any).wake();
    executor.run_until_stalled();
  });
  constexpr std::uint64_t all = rounds + 100;
  CHECK(probe.step() ==
        Step{.polls = 2 * all, .local_wakes = 2 * all, .remote_wakes = all, .enqueued = 2 * all, .live = 1});
}
