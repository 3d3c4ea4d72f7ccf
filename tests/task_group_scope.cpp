// Shows that the tasks of a TaskGroup may use the locals of the scope that has the group: they all end before it does,
// however it is left; that groups can be joined, filled again, nested, and joined by several tasks at once.
#include <stdexcept>
#include <string>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Pending for ever; on its end it looks at what it borrows.
ScriptedFuture<void> borrows(Ledger& ledger, std::string& local) {
  LocalWaker kept;
  return ScriptedFuture<void>(
      ledger,
      [kept](Context& context) mutable -> Poll<void> {
        kept = context.local_waker();
        return Pending;
      },
      [&local] { local += " seen"; });
}

}  // namespace

TEST_CASE("tasks of a group use locals of the scope that waits for them", "[task_group]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  const auto body = [](Executor& mine) -> Async<int> {
    std::vector<int> results(4, 0);
    TaskGroup group(mine);
    const auto square = [](int& result, int value) -> Async<void> {
      for (int i = 0; i < value; ++i) co_await yield_now();
      result = value * value;
    };
    for (int value = 0; value < 4; ++value)
      group.spawn(square, std::ref(results[static_cast<std::size_t>(value)]), value);
    CHECK(group.size() == 4);
    co_await group.join_all();
    CHECK(group.empty());
    int sum = 0;
    for (const int result : results) sum += result;
    co_return sum;
  };
  CHECK(executor.block_on(body(executor)) == 14);
  const Step step = probe.step();
  CHECK(step.spawned == 5);
  CHECK(step.completed == 5);
  CHECK(step.cancelled == 0);
  CHECK(step.freed == 5);
  CHECK(step.live == 0);
}

TEST_CASE("leaving the scope cancels what is left, while the locals live", "[task_group]") {
  enum class Leave { return_, throw_, cancel };
  const Leave leave = GENERATE(Leave::return_, Leave::throw_, Leave::cancel);
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    std::string result;
    const auto body = [&]() -> Async<void> {
      struct Report {
        std::string& to;
        std::string local = "local";
        explicit Report(std::string& target) : to(target) {}
        ~Report() { to = local; }
      } report(result);
      TaskGroup group(executor);
      group.spawn(borrows(ledger, report.local));
      group.spawn(borrows(ledger, report.local));
      co_await yield_now();
      co_await yield_now();
      if (leave == Leave::throw_) throw std::runtime_error("left");
      if (leave == Leave::cancel) co_await forever();
    };
    JoinHandle<void> task = executor.spawn(body);
    executor.run_until_stalled();
    if (leave == Leave::cancel) {
      CHECK(probe.step() == Step{.spawned = 3, .polls = 5, .local_wakes = 2, .enqueued = 5, .live = 3, .futures = 2});
      task.cancel();
      CHECK(probe.step() == Step{.cancelled = 3, .freed = 2, .live = 1});
    } else {
      const Step step = probe.step();
      CHECK(step.cancelled == 2);
      CHECK(step.freed == 2);
      CHECK(step.futures == 0);
      CHECK(step.live == 1);
    }
    CHECK(result == "local seen seen");
    if (leave == Leave::throw_) CHECK_THROWS_AS(task.try_join(), std::runtime_error);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("cancel_all ends all tasks before it returns, and the group can be used again", "[task_group]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::string local;
  TaskGroup group(executor);
  group.cancel_all();
  const bool started = GENERATE(false, true);
  for (int i = 0; i < 3; ++i) group.spawn("member", borrows(ledger, local));
  CHECK(probe.step() == Step{.spawned = 3, .enqueued = 3, .live = 3, .futures = 3});
  CHECK(executor.tasks().front().name == "member");
  if (started) {
    CHECK(executor.run_until_stalled() == 3);
    CHECK(probe.step() == Step{.polls = 3, .live = 3, .futures = 3});
  }
  group.cancel_all();
  CHECK(local == " seen seen seen");
  CHECK(group.empty());
  CHECK(probe.step() == Step{.cancelled = 3, .freed = started ? 3U : 0U, .live = started ? 0U : 3U});
  CHECK(executor.run_until_stalled() == 0);  // those that never ran leave the queue
  CHECK(probe.step() == Step{.freed = started ? 0U : 3U});
  group.spawn(yield_now());
  executor.block_on(group.join_all());
  CHECK(group.empty());
}

TEST_CASE("an empty group is joined at once, and again", "[task_group]") {
  Hand a;
  Executor executor;
  TaskGroup group(executor);
  CHECK(group.empty());
  CHECK(group.size() == 0);
  auto first = group.join_all();
  CHECK(a.is_ready(first));
  auto second = group.join_all();
  CHECK(a.is_ready(second));
  CHECK(a.counting.clones() == 0);
}

TEST_CASE("a member spawns into its own group", "[task_group]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  TaskGroup group(executor);
  int leaves = 0;
  struct Tree {
    static Async<void> grow(TaskGroup& mine, int& count, int depth) {
      if (depth == 0) {
        ++count;
        co_return;
      }
      mine.spawn(grow, std::ref(mine), std::ref(count), depth - 1);
      mine.spawn(grow, std::ref(mine), std::ref(count), depth - 1);
      co_await yield_now();
    }
  };
  group.spawn(Tree::grow, std::ref(group), std::ref(leaves), 5);
  executor.block_on(group.join_all());
  CHECK(leaves == 32);
  const Step step = probe.step();
  CHECK(step.spawned == 64);  // 63 members and block_on's
  CHECK(step.completed == 64);
  CHECK(step.live == 0);
}

TEST_CASE("a group inside a member of a group", "[task_group]") {
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    std::string local;
    TaskGroup outer(executor);
    outer.spawn([&]() -> Async<void> {
      TaskGroup inner(executor);
      inner.spawn(borrows(ledger, local));
      inner.spawn([&]() -> Async<void> {
        TaskGroup innermost(executor);
        innermost.spawn(borrows(ledger, local));
        co_await innermost.join_all();
      });
      co_await inner.join_all();
    });
    executor.run_until_stalled();
    CHECK(probe.step() == Step{.spawned = 4, .polls = 4, .enqueued = 4, .live = 4, .futures = 2});
    outer.cancel_all();
    CHECK(probe.step() == Step{.cancelled = 4, .freed = 4});
    CHECK(local == " seen seen");
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("two tasks join one group", "[task_group]") {
  Ledger ledger;
  Notify notify;
  Executor executor;
  Probe probe(executor, ledger);
  TaskGroup group(executor);
  group.spawn(notify.notified());
  const auto joins = [](TaskGroup& mine) -> Async<void> { co_await mine.join_all(); };
  JoinHandle<void> first = executor.spawn(joins, std::ref(group));
  JoinHandle<void> second = executor.spawn(joins, std::ref(group));
  JoinHandle<void> third = executor.spawn(joins, std::ref(group));
  CHECK(executor.run_until_stalled() == 4);
  CHECK(probe.step() == Step{.spawned = 4, .polls = 4, .enqueued = 4, .live = 4});
  second.cancel();
  CHECK(probe.step() == Step{.cancelled = 1, .live = 4});
  notify.notify_one();
  CHECK(executor.run_until_stalled() == 3);
  CHECK(probe.step() == Step{.polls = 3, .completed = 3, .freed = 1, .local_wakes = 3, .enqueued = 3, .live = 3});
  CHECK(first.is_finished());
  CHECK(third.is_finished());
}

TEST_CASE("whoever was woken, and finds new members, waits on", "[task_group]") {
  Hand a;
  Executor executor;
  TaskGroup group(executor);
  group.spawn(forever());
  auto joined = group.join_all();
  CHECK_FALSE(a.is_ready(joined));
  group.cancel_all();
  CHECK(a.seen() == Seen{.wakes = 1});
  group.spawn(forever());
  CHECK_FALSE(a.is_ready(joined));
  CHECK(a.seen() == Seen{.kept = 1});
  group.cancel_all();
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(a.is_ready(joined));
  executor.run_until_stalled();
  CHECK(executor.live_tasks() == 0);
}
