// Shows cancels that reach a task while it is being polled by way of others: A cancels B, whose destructor cancels A; a
// task cancels a ready, a waiting and a finished sibling; a sibling's destructor drops the handle of the task that is
// polled.
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("A cancels B, and B's destructor cancels A, which is being polled", "[cancel]") {
  const Kind kind_a = ANY_KIND();
  const Kind kind_b = ANY_KIND();
  const bool drop = GENERATE(false, true);
  const bool b_is_ready = GENERATE(false, true);
  const bool a_is_ready = GENERATE(false, true);
  CAPTURE(kind_a, kind_b, drop, b_is_ready, a_is_ready);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> a;
  JoinHandle<int> b;
  KeptWaker waker_b(WakerKind::local);
  bool never = false;
  int destroyed_a = 0;
  int destroyed_b = 0;
  b = spawn_as(executor, kind_b, waiting_script(ledger, waker_b, never, 7, [&] {
                 ++destroyed_b;
                 if (drop) {
                   const JoinHandle<int> gone = std::move(a);
                 } else {
                   a.cancel();
                 }
                 CHECK(destroyed_a == 0);  // A is being polled
               }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  a = spawn_as(executor, kind_a,
               ScriptedFuture<int>(
                   ledger,
                   [&](Context&) -> Poll<int> {
                     b.cancel();
                     CHECK(destroyed_b == 1);
                     CHECK(destroyed_a == 0);
                     if (a_is_ready) return Ready(1);
                     return Pending;
                   },
                   [&] { ++destroyed_a; }));
  if (b_is_ready) waker_b.wake_by_ref();
  CHECK(probe.step() == Step{.spawned = 1,
                             .local_wakes = b_is_ready ? 1U : 0U,
                             .enqueued = b_is_ready ? 2U : 1U,
                             .live = 2,
                             .futures = 2});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(destroyed_a == 1);
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = a_is_ready ? 1U : 0U,
                             .cancelled = a_is_ready ? 1U : 2U,
                             .freed = drop ? 1U : 0U,
                             .live = drop ? 1U : 2U});
  if (!drop) CHECK_THROWS_AS(a.try_join(), TaskCancelled);
  CHECK_THROWS_AS(b.try_join(), TaskCancelled);
  waker_b.drop();
  CHECK(probe.step() == Step{.freed = drop ? 1U : 2U});
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task cancels siblings in every state", "[cancel]") {
  const Kind kind = ANY_KIND();
  const bool drop = GENERATE(false, true);
  CAPTURE(kind, drop);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waiting_waker(WakerKind::local);
  KeptWaker ready_waker(WakerKind::any_thread);
  bool never = false;
  JoinHandle<int> waiting = spawn_as(executor, kind, waiting_script(ledger, waiting_waker, never));
  JoinHandle<int> ready = spawn_as(executor, kind, waiting_script(ledger, ready_waker, never));
  JoinHandle<int> done =
      spawn_as(executor, kind, ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(3); }));
  CHECK(executor.run_until_stalled() == 3);
  CHECK(probe.step() == Step{.spawned = 3, .polls = 3, .completed = 1, .enqueued = 3, .live = 3, .futures = 2});
  JoinHandle<int> canceller = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context&) -> Poll<int> {
                                         for (JoinHandle<int>* each : {&waiting, &ready, &done}) {
                                           if (drop) {
                                             *each = JoinHandle<int>();
                                           } else {
                                             each->cancel();
                                           }
                                         }
                                         return Ready(1);
                                       }));
  JoinHandle<int> fresh = spawn_as(executor, kind, waiting_script(ledger, waiting_waker, never));
  ready_waker.wake_by_ref();
  CHECK(probe.step() == Step{.spawned = 2, .enqueued = 2, .live = 5, .futures = 4});
  CHECK(executor.poll_once());
  CHECK(canceller.try_join() == 1);
  // `ready` was queued behind canceller and fresh, from the inbox: its entry is still there.
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = 1,
                             .cancelled = 2,
                             .freed = drop ? 2U : 1U,
                             .remote_wakes = 1,
                             .enqueued = 1,
                             .live = drop ? 3U : 4U,
                             .futures = 1});
  fresh.cancel();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.cancelled = 1, .live = drop ? 3U : 4U});
  if (!drop) {
    CHECK_THROWS_AS(waiting.try_join(), TaskCancelled);
    CHECK_THROWS_AS(ready.try_join(), TaskCancelled);
    CHECK(done.try_join() == 3);  // too late to cancel
  }
  CHECK_THROWS_AS(fresh.try_join(), TaskCancelled);
  waiting_waker.drop();
  ready_waker.drop();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(executor.live_tasks() == 0);
  CHECK(executor.stats().freed == 5);
  CHECK(ledger.leftovers().empty());
}
