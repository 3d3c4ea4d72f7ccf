// Shows that a task which wakes itself during its poll is polled exactly once more when it then is Pending, and never
// again when it then is Ready; for hand-written futures and coroutines, for both kinds of waker, and whichever way it
// wakes.
#include <vector>

#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class How { by_reference, by_value, twice, by_both_kinds, by_context };

std::ostream& operator<<(std::ostream& out, How how) {
  constexpr const char* names[] = {"by reference", "by value", "twice", "by both kinds",
                                   "by context"};
  return out << names[static_cast<int>(how)];
}

void wake_self(Context& context, WakerKind waker, How how) {
  const bool local = waker == WakerKind::local;
  switch (how) {
    case How::by_reference:
      local ? context.local_waker().wake_by_ref() : context.waker().wake_by_ref();
      break;
    case How::by_value:
      local ? LocalWaker(context.local_waker()).wake() : Waker(context.waker()).wake();
      break;
    case How::twice:
      wake_self(context, waker, How::by_reference);
      wake_self(context, waker, How::by_value);
      break;
    case How::by_both_kinds:
      wake_self(context, waker, How::by_reference);
      wake_self(context, local ? WakerKind::any_thread : WakerKind::local, How::by_value);
      break;
    case How::by_context:
      context.wake_again();
      if (local) context.wake_again();
      CHECK(context.wakes() == (local ? 2 : 1));
      break;
  }
}

std::uint64_t local_wakes(WakerKind waker, How how) {
  if (how == How::by_both_kinds) return 1;
  if (how == How::by_context) return waker == WakerKind::local ? 2 : 1;
  if (waker == WakerKind::any_thread) return 0;
  return how == How::twice ? 2 : 1;
}

std::uint64_t remote_wakes(WakerKind waker, How how) {
  if (how == How::by_context) return 0;
  return how == How::by_both_kinds || waker == WakerKind::any_thread ? 1 : 0;
}

}  // namespace

TEST_CASE("a task that wakes itself and then is Ready is not polled again", "[task]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker = ANY_WAKER();
  const How how = GENERATE(How::by_reference, How::by_value, How::twice, How::by_both_kinds, How::by_context);
  const bool detached = GENERATE(false, true);
  CAPTURE(kind, waker, how, detached);

  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        wake_self(context, waker, how);
                                        return Ready(7);
                                      }));
    CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});
    if (detached) handle.detach();
    CHECK(probe.step() == Step{.live = 1, .futures = 1});

    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.polls = 1,
                               .completed = 1,
                               .freed = detached ? 1U : 0U,
                               .local_wakes = local_wakes(waker, how),
                               .remote_wakes = remote_wakes(waker, how),
                               .live = detached ? 0U : 1U});
    CHECK(ledger.polls == 1);

    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == Step{.live = detached ? 0U : 1U});
    if (detached) return;

    CHECK(handle.is_finished());
    CHECK(handle.try_join() == 7);
    CHECK(handle.is_empty());
    CHECK(probe.step() == Step{.freed = 1});
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task that wakes itself and then is Pending is polled exactly once more", "[task]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker = ANY_WAKER();
  const How how = GENERATE(How::by_reference, How::by_value, How::twice, How::by_both_kinds, How::by_context);
  CAPTURE(kind, waker, how);

  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        if (ledger.polls == 2) return Ready(7);
                                        wake_self(context, waker, how);
                                        return Pending;
                                      }));
    CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});

    CHECK(executor.poll_once());
    // A wake through the inbox is seen at the next visit; one through a LocalWaker has queued the task already.
    const bool queued = local_wakes(waker, how) > 0;
    CHECK(
        probe.step() ==
        Step{
            .polls = 1, .local_wakes = local_wakes(waker, how), .enqueued = queued ? 1U : 0U, .live = 1, .futures = 1});

    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.polls = 1,
                               .completed = 1,
                               .remote_wakes = remote_wakes(waker, how),
                               .enqueued = queued ? 0U : 1U,
                               .live = 1});
    CHECK(handle.try_join() == 7);
    CHECK(probe.step() == Step{.freed = 1});
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == Step{});
  }
  CHECK(ledger.polls == 2);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task that wakes itself goes behind those that are ready", "[task]") {
  const Kind kind = ANY_KIND();
  Ledger ledger;
  Executor executor;
  std::vector<int> order;
  const auto turns = [&](int id, int count) {
    return ScriptedFuture<int>(ledger, [&order, id, left = count](Context& context) mutable -> Poll<int> {
      order.push_back(id);
      if (--left == 0) return Ready(id);
      context.local_waker().wake_by_ref();
      return Pending;
    });
  };
  JoinHandle<int> first = spawn_as(executor, kind, turns(1, 3));
  JoinHandle<int> second = spawn_as(executor, kind, turns(2, 2));
  JoinHandle<int> third = spawn_as(executor, kind, turns(3, 1));
  CHECK(executor.run_until_stalled() == 6);
  CHECK(order == std::vector<int>{1, 2, 3, 1, 2, 1});
  CHECK(first.try_join() == 1);
  CHECK(second.try_join() == 2);
  CHECK(third.try_join() == 3);
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}
