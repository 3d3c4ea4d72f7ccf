// Shows the cancelling of tasks that are in the ready queue: before their first poll, and after a wake. The future is
// destroyed at once, nothing is polled, the queue entry keeps the memory until its turn, and its neighbours keep
// theirs.
#include <vector>

#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("cancel of a task that was never polled", "[cancel]") {
  const Kind kind = ANY_KIND();
  const bool drop = GENERATE(false, true);
  CAPTURE(kind, drop);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});
  if (drop) {
    handle = JoinHandle<int>();
  } else {
    handle.cancel();
  }
  CHECK(probe.step() == Step{.cancelled = 1, .live = 1});  // the entry in the queue keeps it
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == (drop ? Step{.freed = 1} : Step{.live = 1}));
  if (!drop) {
    CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
    CHECK(probe.step() == Step{.freed = 1});
  }
  CHECK(ledger.polls == 0);
}

TEST_CASE("cancel of a woken task, with neighbours in the queue", "[cancel]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const std::size_t victim = GENERATE(0U, 1U, 2U);
  const bool again = GENERATE(false, true);  // a second wake of the cancelled task
  CAPTURE(kind, waker_kind, victim, again);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::vector<KeptWaker> wakers(3, KeptWaker(waker_kind));
  std::vector<JoinHandle<int>> handles;
  bool ready = false;
  for (std::size_t i = 0; i < 3; ++i) {
    handles.push_back(spawn_as(executor, kind, waiting_script(ledger, wakers.at(i), ready, static_cast<int>(i))));
  }
  CHECK(executor.run_until_stalled() == 3);
  CHECK(probe.step() == Step{.spawned = 3, .polls = 3, .enqueued = 3, .live = 3, .futures = 3});
  for (const KeptWaker& waker : wakers) waker.wake_by_ref();
  const bool local = waker_kind == WakerKind::local;
  CHECK(probe.step() == Step{.local_wakes = local ? 3U : 0U, .enqueued = local ? 3U : 0U, .live = 3, .futures = 3});

  handles.at(victim).cancel();
  CHECK(probe.step() == Step{.cancelled = 1, .live = 3, .futures = 2});
  if (again) wakers.at(victim).wake_by_ref();
  CHECK(probe.step() == Step{.local_wakes = local && again ? 1U : 0U, .live = 3, .futures = 2});
  ready = true;
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() ==
        Step{.polls = 2, .completed = 2, .remote_wakes = local ? 0U : 3U, .enqueued = local ? 0U : 2U, .live = 3});
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == victim) {
      CHECK_THROWS_AS(handles.at(i).try_join(), TaskCancelled);
    } else {
      CHECK(handles.at(i).try_join() == static_cast<int>(i));
    }
  }
  wakers.clear();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = 3});
}

TEST_CASE("the slot of a cancelled task that is still queued is not given to another", "[cancel]") {
  Ledger ledger;
  ExecutorOptions options;
  options.task_growth = false;
  Executor executor(options);
  executor.reserve(1, 256);
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool ready = true;
  std::vector<JoinHandle<int>> cancelled;
  // Fills every slot, and cancels all: none is free until the queue has been run.
  for (;;) {
    auto handle = executor.try_spawn(waiting_script(ledger, waker, ready));
    if (!handle) break;
    cancelled.push_back(std::move(*handle));
  }
  const std::size_t slots = cancelled.size();
  REQUIRE(slots > 0);
  cancelled.clear();
  CHECK(probe.step() == Step{.spawned = slots, .cancelled = slots, .enqueued = slots, .live = slots});
  CHECK_FALSE(executor.try_spawn(waiting_script(ledger, waker, ready)).has_value());
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = slots});
  auto handle = executor.try_spawn(waiting_script(ledger, waker, ready));
  REQUIRE(handle.has_value());
  CHECK(executor.run_until_stalled() == 1);
  CHECK(handle->try_join() == 7);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
  CHECK(ledger.polls == 1);
}
