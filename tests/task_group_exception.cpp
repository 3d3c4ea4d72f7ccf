// Shows that what a member of a group throws wakes whoever joins, who cancels the others and throws the first exception
// on; and that a group whose exception nobody asks for ends in silence.
#include <stdexcept>
#include <string>
#include <vector>

#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Thrown {
  int id;
};

Async<void> fails(int id, int yields) {
  for (; yields > 0; --yields) co_await yield_now();
  throw Thrown{id};
}

ScriptedFuture<void> sibling(Ledger& ledger) {
  LocalWaker kept;
  return ScriptedFuture<void>(ledger, [kept](Context& context) mutable -> Poll<void> {
    kept = context.local_waker();
    return Pending;
  });
}

int thrown_by_join(Executor& executor, TaskGroup& group) {
  try {
    executor.block_on(group.join_all());
  } catch (const Thrown& thrown) {
    return thrown.id;
  }
  return 0;
}

}  // namespace

TEST_CASE("the first exception cancels the siblings and is thrown by join_all, once", "[task_group]") {
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    TaskGroup group(executor);
    group.spawn(sibling(ledger));
    group.spawn(fails, 2, 3);
    group.spawn(fails, 1, 1);
    group.spawn(sibling(ledger));
    CHECK(thrown_by_join(executor, group) == 1);
    const Step step = probe.step();
    CHECK(step.cancelled == 3);  // the one that would have thrown later as well
    CHECK(step.threw == 1);      // block_on's own; the member kept its exception for the group
    CHECK(step.futures == 0);
    CHECK(group.empty());
    executor.run_until_stalled();
    CHECK(executor.live_tasks() == 0);
    CHECK(thrown_by_join(executor, group) == 0);
    group.spawn(fails, 3, 0);
    CHECK(thrown_by_join(executor, group) == 3);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("of two that throw before the joiner runs, the first counts", "[task_group]") {
  Hand a;
  Ledger ledger;
  Executor executor;
  TaskGroup group(executor);
  auto joined = group.join_all();
  group.spawn(fails, 5, 0);
  group.spawn(fails, 6, 0);
  group.spawn(sibling(ledger));
  CHECK_FALSE(a.is_ready(joined));
  CHECK(executor.run_until_stalled() == 3);
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(ledger.futures_alive() == 1);  // the sibling runs until the joiner does
  try {
    static_cast<void>(a.is_ready(joined));
    FAIL("nothing was thrown");
  } catch (const Thrown& thrown) {
    CHECK(thrown.id == 5);
  }
  CHECK(ledger.futures_alive() == 0);
  CHECK(group.empty());
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("an exception that came before the join is thrown by it", "[task_group]") {
  Executor executor;
  TaskGroup group(executor);
  group.spawn(fails, 4, 0);
  executor.run_until_stalled();
  CHECK(group.empty());
  CHECK(thrown_by_join(executor, group) == 4);
}

TEST_CASE("an exception that nobody asks for ends with its group", "[task_group]") {
  bool unhandled = false;
  ExecutorOptions options;
  options.on_unhandled = [&](const TaskInfo&, std::exception_ptr) { unhandled = true; };
  Executor executor(std::move(options));
  {
    TaskGroup group(executor);
    group.spawn(fails, 4, 0);
    executor.run_until_stalled();
  }
  CHECK_FALSE(unhandled);
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("of several joiners one gets the exception", "[task_group]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  TaskGroup group(executor);
  group.spawn(fails, 4, 2);
  group.spawn(sibling(ledger));
  const auto joins = [](TaskGroup& mine) -> Async<int> {
    int caught = 0;
    try {
      co_await mine.join_all();
    } catch (const Thrown& thrown) {
      caught = thrown.id;
    }
    co_return caught;
  };
  JoinHandle<int> first = executor.spawn(joins, std::ref(group));
  JoinHandle<int> second = executor.spawn(joins, std::ref(group));
  executor.run_until_stalled();
  const int sum = *first.try_join() + *second.try_join();
  CHECK(sum == 4);
  CHECK(ledger.leftovers().empty());
  CHECK(probe.step().live == 0);
}

TEST_CASE("an exception passes from group to group", "[task_group]") {
  Ledger ledger;
  {
    Executor executor;
    TaskGroup outer(executor);
    outer.spawn([&]() -> Async<void> {
      TaskGroup inner(executor);
      inner.spawn(sibling(ledger));
      inner.spawn(fails, 9, 2);
      co_await inner.join_all();
    });
    outer.spawn(sibling(ledger));
    CHECK(thrown_by_join(executor, outer) == 9);
    CHECK(ledger.futures_alive() == 0);
    CHECK(executor.live_tasks() == 0);
  }
  CHECK(ledger.leftovers().empty());
}
