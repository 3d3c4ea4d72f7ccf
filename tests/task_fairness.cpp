// Shows that the ready queue is first in, first out, also with more ready tasks than polls_per_visit, and that timers
// and the wakes of other threads are looked at after that many polls at the latest, while tasks are always ready.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ExecutorOptions visiting_after(std::uint32_t polls) {
  ExecutorOptions options;
  options.polls_per_visit = polls;
  return options;
}

}  // namespace

TEST_CASE("more ready tasks than a batch are polled in order, once each", "[fairness]") {
  const Kind kind = ANY_KIND();
  const std::uint32_t batch = GENERATE(1U, 2U, 61U, 1000U);
  CAPTURE(kind, batch);
  Ledger ledger;
  Executor executor(visiting_after(batch));
  Probe probe(executor, ledger);
  std::vector<int> order;
  std::vector<JoinHandle<int>> handles;
  constexpr int count = 300;
  for (int i = 0; i < count; ++i) {
    handles.push_back(spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&order, i](Context& context) -> Poll<int> {
                                 order.push_back(i);
                                 if (order.size() > count) return Ready(i);
                                 context.local_waker().wake_by_ref();
                                 return Pending;
                               })));
  }
  CHECK(executor.run_until_stalled() == 2 * count);
  CHECK(probe.step() == Step{.spawned = count,
                             .polls = 2 * count,
                             .completed = count,
                             .local_wakes = count,
                             .enqueued = 2 * count,
                             .live = count});
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order.at(i) != static_cast<int>(i % count)) FAIL("polled out of order at " << i);
  }
  handles.clear();
  CHECK(probe.step() == Step{.freed = count});
}

TEST_CASE("a wake through the inbox is seen after polls_per_visit polls, while another task is always ready",
          "[fairness]") {
  const Kind kind = ANY_KIND();
  const std::uint32_t batch = GENERATE(1U, 4U, 61U);
  CAPTURE(kind, batch);
  Ledger ledger;
  Ledger busy_ledger;
  Executor executor(visiting_after(batch));
  KeptWaker waker(WakerKind::any_thread);
  bool ready = false;
  JoinHandle<int> sleeper = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  std::uint64_t polls_at_wake = 0;
  std::uint64_t polls_at_end = 0;
  JoinHandle<void> busy = executor.spawn(ScriptedFuture<void>(busy_ledger, [&](Context& context) -> Poll<void> {
    if (busy_ledger.polls == 10) {
      std::thread([&waker, &ready] {
        ready = true;
        waker.wake();
      }).join();
      polls_at_wake = executor.stats().polls;
    }
    if (sleeper.is_finished()) {
      polls_at_end = executor.stats().polls;
      return Ready();
    }
    context.local_waker().wake_by_ref();
    return Pending;
  }));
  executor.run_until_stalled();
  CHECK(busy.is_finished());
  CHECK(sleeper.try_join() == 7);
  // At most a batch until the visit, then the busy task once more, the sleeper, and the busy one that sees it.
  CHECK(polls_at_wake > 0);
  CHECK(polls_at_end - polls_at_wake <= batch + 3);
  CHECK(polls_at_end - polls_at_wake >= 2);
  executor.check_deep();
}

TEST_CASE("a timer fires while tasks are always ready", "[fairness]") {
  const std::uint32_t batch = GENERATE(1U, 8U, 61U);
  CAPTURE(batch);
  VirtualClock clock;
  ExecutorOptions options = visiting_after(batch);
  options.clock = &clock;
  Executor executor(options);
  bool fired = false;
  auto timer = [](bool& done) -> Async<void> {
    co_await sleep(std::chrono::seconds(1));
    done = true;
  };
  JoinHandle<void> sleeper = executor.spawn(timer, std::ref(fired));
  CHECK(executor.run_until_stalled() == 1);
  CHECK_FALSE(fired);
  clock.advance(std::chrono::seconds(1));
  std::uint32_t turns = 0;
  auto spin = [](bool& done, std::uint32_t& count) -> Async<void> {
    while (!done) {
      ++count;
      if (count > 1000) break;
      co_await yield_now();
    }
  };
  JoinHandle<void> busy = executor.spawn(spin, std::ref(fired), std::ref(turns));
  executor.run_until_stalled();
  CHECK(fired);
  CHECK(turns <= batch + 2);
  CHECK(sleeper.is_finished());
  CHECK(busy.is_finished());
}

TEST_CASE("of many timers that are due only a batch fires before the tasks that it woke run", "[fairness]") {
  const std::uint32_t batch = GENERATE(1U, 8U, 61U);
  constexpr std::size_t sleepers = 100;
  CAPTURE(batch);
  VirtualClock clock;
  ExecutorOptions options = visiting_after(batch);
  options.clock = &clock;
  Executor executor(options);
  Ledger ledger;
  std::vector<std::size_t> woken;
  std::size_t most_left = 0;  // that have fired when another runs
  std::vector<JoinHandle<void>> handles;
  for (std::size_t i = 0; i < sleepers; ++i) {
    handles.push_back(executor.spawn([&, i]() -> Async<void> {
      co_await sleep_until(Instant(Duration(static_cast<std::int64_t>(100 + i))));
      most_left = std::max(most_left, sleepers - executor.timers().size() - woken.size());
      woken.push_back(i);
    }));
  }
  executor.run_until_stalled();
  Probe probe(executor, ledger);
  clock.advance(std::chrono::seconds(1));
  CHECK(executor.run_until_stalled() == sleepers);
  CHECK(probe.step() == Step{.polls = sleepers, .completed = sleepers, .local_wakes = sleepers, .enqueued = sleepers, .live = sleepers});
  CHECK(woken.size() == sleepers);
  CHECK(std::is_sorted(woken.begin(), woken.end()));
  CHECK(most_left == std::min<std::size_t>(batch, sleepers));
}

TEST_CASE("timers that are due beyond a batch fire also where they wake no task of the executor", "[fairness]") {
  VirtualClock clock;
  ExecutorOptions options = visiting_after(4);
  options.clock = &clock;
  Executor executor(options);
  Ledger ledger;
  testkit::CountingWaker counting;
  std::vector<Timer> timers(10);
  for (Timer& timer : timers) executor.timers().arm(timer, Instant(Duration(5)), LocalWaker(counting.waker()));
  JoinHandle<void> last = executor.spawn(sleep_until(Instant(Duration(6))));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(counting.wakes() == 0);
  Probe probe(executor, ledger);
  clock.advance(Duration(10));
  SECTION("run_until_stalled") { CHECK(executor.run_until_stalled() == 1); }
  SECTION("poll_once") {
    CHECK(executor.poll_once());
    CHECK_FALSE(executor.poll_once());
  }
  SECTION("block_on") { executor.block_on(last); }
  CHECK(counting.wakes() == 10);
  CHECK(executor.timers().check_deep() == 0);
  CHECK(probe.step().completed >= 1);
}

TEST_CASE("poll_once polls exactly one task, and says whether there was one", "[fairness]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  CHECK_FALSE(executor.poll_once());
  std::vector<JoinHandle<int>> handles;
  for (int i = 0; i < 3; ++i) {
    handles.push_back(
        spawn_as(executor, kind, ScriptedFuture<int>(ledger, [i](Context&) -> Poll<int> { return Ready(i); })));
  }
  CHECK(probe.step() == Step{.spawned = 3, .enqueued = 3, .live = 3, .futures = 3});
  handles.at(1).cancel();  // its entry in the queue is not a poll
  CHECK(probe.step() == Step{.cancelled = 1, .live = 3, .futures = 2});
  CHECK(executor.poll_once());
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .live = 3, .futures = 1});
  CHECK(executor.poll_once());
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .live = 3});
  CHECK_FALSE(executor.poll_once());
  CHECK(handles.at(2).try_join() == 2);
  CHECK(probe.step() == Step{.freed = 1, .live = 2});
}

TEST_CASE("abort: polls_per_visit of zero", "[fairness][abort]") {
  check_dies("ExecutorOptions::polls_per_visit is 0; it must be at least 1",
             [] { const Executor executor(visiting_after(0)); });
}
