// Shows that a wake from outside the run loop queues the task once, polls nothing by itself, and is acted upon by the
// next run; several wakes coalesce; a wake before the first poll changes nothing.
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("a wake outside the run loop queues, and the next run polls", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const int wakes = GENERATE(1, 2, 5);
  CAPTURE(kind, waker_kind, wakes);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});

  const bool local = waker.is_local();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    for (int i = 0; i < wakes; ++i) waker.wake_by_ref();
    CHECK(ledger.polls == round);  // a wake never polls
    CHECK(probe.step() == Step{.local_wakes = local ? static_cast<std::uint64_t>(wakes) : 0U,
                               .enqueued = local ? 1U : 0U,
                               .live = 1,
                               .futures = 1});
    ready = round == 3;
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.polls = 1,
                               .completed = ready ? 1U : 0U,
                               .remote_wakes = local ? 0U : 1U,
                               .enqueued = local ? 0U : 1U,
                               .live = 1,
                               .futures = ready ? 0U : 1U});
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == Step{.live = 1, .futures = ready ? 0U : 1U});
  }
  CHECK(handle.try_join() == 7);
  waker.drop();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a wake by value outside the run loop", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  ready = true;
  waker.wake();
  CHECK(waker.is_empty());
  CHECK(executor.run_until_stalled() == 1);
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = 1,
                             .local_wakes = local ? 1U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = 1,
                             .live = 1});
  CHECK(handle.try_join() == 7);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a task of one executor wakes a task of another", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);

  Ledger ledger;
  Executor sleeping;
  Executor waking;
  Probe probe(sleeping, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  JoinHandle<int> sleeper = spawn_as(sleeping, kind, waiting_script(ledger, waker, ready));
  CHECK(sleeping.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});

  Ledger other;
  JoinHandle<int> clock = spawn_as(waking, kind, ScriptedFuture<int>(other, [&](Context&) -> Poll<int> {
                                     ready = true;
                                     waker.wake();
                                     return Ready(1);
                                   }));
  CHECK(waking.run_until_stalled() == 1);
  CHECK(ledger.polls == 1);  // not polled by the other executor
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.local_wakes = local ? 1U : 0U, .enqueued = local ? 1U : 0U, .live = 1, .futures = 1});
  CHECK(sleeping.run_until_stalled() == 1);
  CHECK(probe.step() ==
        Step{.polls = 1, .completed = 1, .remote_wakes = local ? 0U : 1U, .enqueued = local ? 0U : 1U, .live = 1});
  CHECK(sleeper.try_join() == 7);
  CHECK(clock.try_join() == 1);
  CHECK(probe.step() == Step{.freed = 1});
}
