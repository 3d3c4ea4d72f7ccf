// Shows a task while the constructor of its future runs, which is the user's: what it sees of the executor, what it may
// do to it, and that a constructor which then throws takes back nothing but its own task. One that ends the executor
// aborts.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Seen {
  std::uint64_t id;
  std::string name;
  TaskState state;
  bool waits_somewhere;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> seen(Executor& executor) {
  std::vector<Seen> all;
  for (const TaskInfo& info : executor.tasks()) {
    all.push_back({info.id, std::string(info.name), info.state, info.waiting_at.has_value()});
  }
  std::sort(all.begin(), all.end(), [](const Seen& left, const Seen& right) { return left.id < right.id; });
  return all;
}

// Calls what it is given from its constructor, and again from its move constructor.
class Acts {
 public:
  using Output = int;
  using Action = std::function<void()>;
  struct InPlace {};
  struct Moved {};

  Acts(InPlace, Action action) : action_(std::move(action)) { action_(); }
  Acts(Moved, Action action) : action_(std::move(action)) {}
  Acts(Acts&& other) : action_(other.action_) { action_(); }
  Poll<int> poll(Context&) { return Ready(5); }

 private:
  Action action_;
};

// The same in a callable, which is moved into its task before it is called there.
class ActingCallable {
 public:
  explicit ActingCallable(Acts::Action action) : action_(std::move(action)) {}
  ActingCallable(ActingCallable&& other) : action_(other.action_) { action_(); }
  Async<int> operator()() { co_return 5; }

 private:
  Acts::Action action_;
};

enum class By { constructor, move_constructor, callable };

std::ostream& operator<<(std::ostream& out, By by) {
  return out << (by == By::constructor ? "constructor" : by == By::move_constructor ? "move constructor" : "callable");
}

JoinHandle<int> spawn_acting(Executor& executor, By by, Acts::Action action) {
  switch (by) {
    case By::constructor:
      return executor.emplace<Acts>("acting", Acts::InPlace(), std::move(action));
    case By::move_constructor:
      return executor.spawn("acting", Acts(Acts::Moved(), std::move(action)));
    case By::callable:
      break;
  }
  return executor.spawn("acting", ActingCallable(std::move(action)));
}

#define ANY_WAY() GENERATE(By::constructor, By::move_constructor, By::callable)

}  // namespace

TEST_CASE("while a future is constructed, tasks() shows all tasks but its own", "[task]") {
  const By by = ANY_WAY();
  CAPTURE(by);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> waiting = executor.spawn("waiting", waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});

  const Seen first{1, "waiting", TaskState::waiting, false};
  const Seen second{2, "second", TaskState::ready, false};
  std::vector<Seen> before;
  std::vector<Seen> after;
  JoinHandle<int> inner;
  JoinHandle<int> acting = spawn_acting(executor, by, [&] {
    before = seen(executor);
    CHECK(probe.step() == Step{.live = 2, .futures = 1});  // its slot is taken, and that is all
    inner = executor.spawn("second", ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(6); }));
    after = seen(executor);
    CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 3, .futures = 2});
  });
  CHECK(before == std::vector<Seen>{first});
  CHECK(after == std::vector<Seen>{first, second});
  CHECK(seen(executor) == std::vector<Seen>{first, second, {3, "acting", TaskState::ready, false}});
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 3, .futures = 2});

  CHECK(executor.run_until_stalled() == 2);
  CHECK(acting.try_join() == 5);
  CHECK(inner.try_join() == 6);
  CHECK(probe.step() == Step{.polls = 2, .completed = 2, .freed = 2, .live = 1, .futures = 1});
  ready = true;
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(waiting.try_join() == 7);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .local_wakes = 1, .enqueued = 1});
}

TEST_CASE("a constructor that spawns and then throws takes back its own task only", "[task][throw]") {
  const By by = ANY_WAY();
  const bool many = GENERATE(false, true);  // many: the memory of tasks grows meanwhile
  CAPTURE(by, many);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  const std::uint64_t count = many ? 500 : 1;
  std::vector<JoinHandle<int>> inner;
  const auto act = [&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      inner.push_back(executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(6); })));
    }
    CHECK(executor.tasks().size() == count);
    throw std::runtime_error("not this one");
  };
  CHECK_THROWS_AS(spawn_acting(executor, by, act), std::runtime_error);
  CHECK(probe.step() == Step{.spawned = count, .enqueued = count, .live = count, .futures = count});
  CHECK(executor.tasks().size() == count);
  CHECK(executor.run_until_stalled() == count);
  for (JoinHandle<int>& handle : inner) CHECK(handle.try_join() == 6);
  CHECK(probe.step() == Step{.polls = count, .completed = count, .freed = count});
  CHECK(executor.block_on(Acts(Acts::Moved(), [] {})) == 5);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
}

TEST_CASE("a constructor that cancels all others", "[task]") {
  const By by = ANY_WAY();
  CAPTURE(by);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> other = executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(6); }));
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});
  JoinHandle<int> acting = spawn_acting(executor, by, [&] {
    other.cancel();
    CHECK(executor.tasks().empty());
    CHECK(probe.step() == Step{.cancelled = 1, .live = 2});
  });
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 2});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(acting.try_join() == 5);
  CHECK(other.is_cancelled());
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .live = 1});
}

TEST_CASE("abort: a future's constructor ends the executor that makes its task", "[task][abort]") {
  for (const By by : {By::constructor, By::move_constructor, By::callable}) {
    CAPTURE(by);
    check_dies("an Executor was destroyed while it made a task, by the constructor of the task's future", [&] {
      std::optional<Executor> executor(std::in_place);
      static_cast<void>(spawn_acting(*executor, by, [&] { executor.reset(); }));
    });
    check_dies("an Executor was destroyed from inside itself", [&] {  // the same within a task's poll
      std::optional<Executor> executor(std::in_place);
      executor->block_on([&]() -> Async<void> {
        static_cast<void>(spawn_acting(*executor, by, [&] { executor.reset(); }));
        co_return;
      });
    });
  }
  check_dies("an Executor was destroyed from inside itself", [] {  // the callable, when it is called
    std::optional<Executor> executor(std::in_place);
    executor->spawn_detached([&]() -> Async<void> {
      executor.reset();
      co_return;
    });
    executor->run_until_stalled();
  });
}
