// Shows how a TaskGroup ends when the executor ends first, when a spawn fails, when destructors of its members use it;
// and what aborts: a member that ends its own group, a group that goes while somebody joins it.
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ScriptedFuture<void> waiting(Ledger& ledger, std::function<void()> on_destroy = {}) {
  LocalWaker kept;
  return ScriptedFuture<void>(
      ledger,
      [kept](Context& context) mutable -> Poll<void> {
        kept = context.local_waker();
        return Pending;
      },
      std::move(on_destroy));
}

struct Throws {
  using Output = void;
  Throws() = default;
  Throws(Throws&&) { throw 7; }
  Poll<void> poll(Context&) { return Pending; }
};

// Spawns a second task when it is moved for the first time.
struct Spawns {
  using Output = void;
  TaskGroup* group;
  Ledger* ledger;
  Spawns(TaskGroup& into, Ledger& counts) : group(&into), ledger(&counts) {}
  Spawns(Spawns&& other) noexcept : group(std::exchange(other.group, nullptr)), ledger(other.ledger) {
    if (group != nullptr) std::exchange(group, nullptr)->spawn(waiting(*ledger));
  }
  Poll<void> poll(Context& context) {
    context.local_waker().wake_by_ref();
    return Pending;
  }
};

}  // namespace

TEST_CASE("the executor ends before the group", "[task_group]") {
  Hand a;
  Ledger ledger;
  {
    std::optional<Executor> executor(std::in_place);
    TaskGroup group(*executor);
    group.spawn(waiting(ledger));
    group.spawn(waiting(ledger));
    auto joined = group.join_all();
    CHECK_FALSE(a.is_ready(joined));
    if (GENERATE(false, true)) executor->run_until_stalled();
    executor.reset();
    CHECK(ledger.futures_alive() == 0);
    CHECK(group.empty());
    CHECK(a.seen() == Seen{.wakes = 1});
    CHECK(a.is_ready(joined));
    group.cancel_all();
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("the executor ends with groups in its tasks", "[task_group]") {
  Ledger ledger;
  {
    Executor executor;
    struct Nest {
      static Async<void> make(Executor& mine, Ledger& counts, int depth) {
        TaskGroup group(mine);
        group.spawn(waiting(counts));
        if (depth > 0) group.spawn(make, std::ref(mine), std::ref(counts), depth - 1);
        co_await group.join_all();
      }
    };
    executor.spawn_detached(Nest::make, std::ref(executor), std::ref(ledger), 3);
    executor.run_until_stalled();
    CHECK(ledger.futures_alive() == 4);
    CHECK(executor.live_tasks() == 8);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a spawn that fails leaves the group as it was", "[task_group]") {
  Ledger ledger;
  {
    ExecutorOptions options;
    options.task_slots = 1;
    options.task_slot_bytes = 512;
    options.task_growth = false;
    Executor executor(std::move(options));
    TaskGroup group(executor);
    std::size_t fitted = 0;
    try {
      for (; fitted < 10'000; ++fitted) group.spawn(waiting(ledger));
      FAIL("the executor is never full");
    } catch (const ExecutorFull&) {
    }
    CHECK(fitted >= 1);
    CHECK(group.size() == fitted);
    CHECK(ledger.futures_alive() == fitted);
    CHECK(executor.live_tasks() == fitted);
    group.cancel_all();
    executor.run_until_stalled();
    CHECK_THROWS_AS(group.spawn(Throws()), int);
    CHECK(group.empty());
    CHECK(executor.live_tasks() == 0);
    group.spawn(waiting(ledger));
    CHECK(group.size() == 1);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("spawning while an argument is on its way into the same group", "[task_group]") {
  Ledger ledger;
  Executor executor;
  TaskGroup group(executor);
  group.spawn(Spawns(group, ledger));
  CHECK(group.size() == 2);
  CHECK(executor.stats().cancelled == 0);
  CHECK(executor.poll_once());
  CHECK(executor.poll_once());
  CHECK(executor.poll_once());
  group.cancel_all();
  CHECK(executor.stats().cancelled == 2);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a member's end spawns into the group, which ends that as well", "[task_group]") {
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    {
      TaskGroup group(executor);
      TaskGroup& same = group;
      group.spawn(waiting(ledger, [&] { same.spawn(waiting(ledger)); }));
      executor.run_until_stalled();
      CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
      if (GENERATE(false, true)) {
        group.cancel_all();
        CHECK(group.empty());
      }
    }
    const Step step = probe.step();
    CHECK(step.spawned == 1);
    CHECK(step.cancelled == 2);
    CHECK(step.futures == 0);
    executor.run_until_stalled();
    CHECK(executor.live_tasks() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("spawning into a group while the executor ends", "[task_group]") {
  Ledger ledger;
  {
    std::optional<Executor> executor(std::in_place);
    TaskGroup group(*executor);
    TaskGroup& same = group;
    group.spawn(waiting(ledger, [&] { same.spawn(waiting(ledger)); }));
    executor->run_until_stalled();
    executor.reset();
    CHECK(group.empty());
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("misuse of a TaskGroup aborts", "[task_group][dies]") {
  const std::string by_member = "a TaskGroup was ended by one of its own tasks";
  check_dies(by_member, [] {
    Executor executor;
    auto group = std::make_unique<TaskGroup>(executor);
    group->spawn([&]() -> Async<void> {
      group.reset();
      co_return;
    });
    executor.run_until_stalled();
  });
  check_dies(by_member, [] {
    Executor executor;
    TaskGroup group(executor);
    group.spawn([&]() -> Async<void> {
      co_await yield_now();
      group.cancel_all();
    });
    executor.run_until_stalled();
  });
  check_dies(by_member, [] {  // by its destructor, while it is cancelled
    Ledger ledger;
    Executor executor;
    TaskGroup group(executor);
    TaskGroup& same = group;
    group.spawn(waiting(ledger, [&] { same.cancel_all(); }));
    group.cancel_all();
  });
  const std::string joined = "a TaskGroup was destroyed while a task waits in its join_all()";
  check_dies(joined, [] {
    Hand a;
    Executor executor;
    std::optional<TaskGroup> group(std::in_place, executor);
    group->spawn(forever());
    auto all = group->join_all();
    static_cast<void>(a.is_ready(all));
    group.reset();
  });
  check_dies(joined, [] {  // it would be polled later
    Executor executor;
    std::optional<TaskGroup> group(std::in_place, executor);
    const auto all = group->join_all();
    group.reset();
  });
  check_dies(joined, [] {  // woken, but not polled since
    Hand a;
    Executor executor;
    std::optional<TaskGroup> group(std::in_place, executor);
    group->spawn(forever());
    auto all = group->join_all();
    static_cast<void>(a.is_ready(all));
    group->cancel_all();
    group.reset();
  });
  check_survives([] {  // a task that is no member may end it
    Executor executor;
    auto group = std::make_unique<TaskGroup>(executor);
    group->spawn(forever());
    executor.spawn_detached([&]() -> Async<void> {
      group.reset();
      co_return;
    });
    executor.run_until_stalled();
  });
}
