// Shows that a wake of a task that has ended does nothing: however it ended, through both kinds of waker, before and
// after its outcome was taken; and that the last waker, or the handle, whichever goes last, frees the task.
#include <stdexcept>

#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class End { ready, threw, cancelled };

std::ostream& operator<<(std::ostream& out, End end) {
  constexpr const char* names[] = {"Ready", "threw", "cancelled"};
  return out << names[static_cast<int>(end)];
}

// Is Pending at the first poll, keeping a waker, and ends at the second.
ScriptedFuture<int> ends(Ledger& ledger, KeptWaker& waker, End end) {
  return ScriptedFuture<int>(ledger, [&waker, end, first = true](Context& context) mutable -> Poll<int> {
    if (std::exchange(first, false)) {
      waker.keep(context);
      return Pending;
    }
    if (end == End::threw) throw std::runtime_error("thrown on purpose");
    return Ready(7);
  });
}

// Brings the task to its end; `probe` has seen all of it afterwards.
void run_to_end(Executor& executor, Probe& probe, KeptWaker& waker, JoinHandle<int>& handle, End end) {
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .live = 1, .futures = 1});
  if (end == End::cancelled) {
    handle.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 1});
    return;
  }
  waker.wake_by_ref();
  CHECK(probe.step() == Step{.local_wakes = local ? 1U : 0U, .enqueued = local ? 1U : 0U, .live = 1, .futures = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = end == End::ready ? 1U : 0U,
                             .threw = end == End::threw ? 1U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = local ? 0U : 1U,
                             .live = 1});
}

// A wake that changes nothing.
void wake_in_vain(Executor& executor, Probe& probe, const KeptWaker& waker, bool by_ref) {
  by_ref ? waker.wake_by_ref() : waker.wake_a_copy();
  CHECK(probe.step() == Step{.local_wakes = waker.is_local() ? 1U : 0U, .live = 1});
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.remote_wakes = waker.is_local() ? 0U : 1U, .live = 1});
}

void take_outcome(JoinHandle<int>& handle, End end) {
  switch (end) {
    case End::ready:
      CHECK(handle.try_join() == 7);
      break;
    case End::threw:
      CHECK_THROWS_AS(handle.try_join(), std::runtime_error);
      break;
    case End::cancelled:
      CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
      break;
  }
  CHECK(handle.is_empty());
}

}  // namespace

TEST_CASE("a wake after the end does nothing; the waker goes last", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const End end = GENERATE(End::ready, End::threw, End::cancelled);
  const bool by_ref = GENERATE(true, false);
  CAPTURE(kind, waker_kind, end, by_ref);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  JoinHandle<int> handle = spawn_as(executor, kind, ends(ledger, waker, end));
  run_to_end(executor, probe, waker, handle, end);
  wake_in_vain(executor, probe, waker, by_ref);
  take_outcome(handle, end);
  CHECK(probe.step() == Step{.live = 1});
  wake_in_vain(executor, probe, waker, by_ref);

  if (by_ref) {
    waker.drop();
    CHECK(probe.step() == (waker.is_local() ? Step{.freed = 1} : Step{.live = 1}));
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == (waker.is_local() ? Step{} : Step{.freed = 1}));
  } else {
    waker.wake();
    CHECK(probe.step() == (waker.is_local() ? Step{.freed = 1, .local_wakes = 1} : Step{.live = 1}));
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == (waker.is_local() ? Step{} : Step{.freed = 1, .remote_wakes = 1}));
  }
  CHECK(ledger.polls == (end == End::cancelled ? 1 : 2));
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a wake after the end does nothing; the handle goes last", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const End end = GENERATE(End::ready, End::threw, End::cancelled);
  const bool dropped_unread = GENERATE(true, false);
  CAPTURE(kind, waker_kind, end, dropped_unread);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  JoinHandle<int> handle = spawn_as(executor, kind, ends(ledger, waker, end));
  run_to_end(executor, probe, waker, handle, end);
  waker.wake();
  CHECK(probe.step() == Step{.local_wakes = waker.is_local() ? 1U : 0U, .live = 1});
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.remote_wakes = waker.is_local() ? 0U : 1U, .live = 1});
  if (dropped_unread) {
    handle = JoinHandle<int>();
  } else {
    take_outcome(handle, end);
  }
  CHECK(probe.step() == Step{.freed = 1});
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("many copies of a waker: only the last one frees the ended task", "[task][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const bool newest_first = GENERATE(true, false);
  CAPTURE(kind, waker_kind, newest_first);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  JoinHandle<int> handle = spawn_as(executor, kind, ends(ledger, waker, End::ready));
  run_to_end(executor, probe, waker, handle, End::ready);
  std::vector<KeptWaker> copies(10, waker);
  waker.drop();
  take_outcome(handle, End::ready);
  CHECK(probe.step() == Step{.live = 1});
  while (copies.size() > 1) {
    copies.front().wake_by_ref();
    copies.erase(newest_first ? std::prev(copies.end()) : copies.begin());
    executor.run_until_stalled();
    const Step seen = probe.step();
    CHECK(seen ==
          Step{.local_wakes = waker.is_local() ? 1U : 0U, .remote_wakes = waker.is_local() ? 0U : 1U, .live = 1});
  }
  copies.clear();
  executor.run_until_stalled();
  CHECK(probe.step() == Step{.freed = 1});
}
