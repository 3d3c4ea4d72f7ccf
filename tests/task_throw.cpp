// Shows what an exception from a poll does: it ends that task alone, its siblings run on, the awaiter gets it, and the
// handler gets those of detached tasks, each exactly once.
#include <stdexcept>
#include <string>
#include <vector>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/dies.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Failure : std::runtime_error {
  explicit Failure(int given) : std::runtime_error("thrown on purpose"), code(given) {}
  int code;
};

ScriptedFuture<int> throws(Ledger& ledger, int code) {
  return ScriptedFuture<int>(ledger, [code](Context&) -> Poll<int> { throw Failure(code); });
}

ScriptedFuture<int> turns(Ledger& ledger, std::vector<int>& order, int id, int count) {
  return ScriptedFuture<int>(ledger, [&order, id, left = count](Context& context) mutable -> Poll<int> {
    order.push_back(id);
    if (--left == 0) return Ready(id);
    context.local_waker().wake_by_ref();
    return Pending;
  });
}

int code_of(std::exception_ptr error) {
  try {
    std::rethrow_exception(std::move(error));
  } catch (const Failure& failure) {
    return failure.code;
  }
}

}  // namespace

TEST_CASE("throw from poll with siblings alive", "[task][throw]") {
  const Kind kind = ANY_KIND();
  const std::size_t place = GENERATE(0U, 1U, 2U);  // of the one that throws
  const bool detached = GENERATE(false, true);
  CAPTURE(kind, place, detached);

  Ledger ledger;
  std::vector<int> codes;
  std::vector<std::string> names;
  ExecutorOptions options;
  options.on_unhandled = [&](const TaskInfo& info, std::exception_ptr error) {
    names.emplace_back(info.name);
    codes.push_back(code_of(std::move(error)));
  };
  Executor executor(options);
  Probe probe(executor, ledger);
  std::vector<int> order;
  std::vector<JoinHandle<int>> handles;
  for (std::size_t i = 0; i < 3; ++i) {
    const int id = static_cast<int>(i);
    handles.push_back(spawn_as(executor, kind, i == place ? throws(ledger, 5) : turns(ledger, order, id, 2)));
  }
  CHECK(probe.step() == Step{.spawned = 3, .enqueued = 3, .live = 3, .futures = 3});
  if (detached) handles.at(place).detach();
  CHECK(executor.run_until_stalled() == 5);
  CHECK(probe.step() == Step{.polls = 5,
                             .completed = 2,
                             .threw = 1,
                             .freed = detached ? 1U : 0U,
                             .local_wakes = 2,
                             .enqueued = 2,
                             .live = detached ? 2U : 3U});
  CHECK(order.size() == 4);
  if (detached) {
    CHECK(codes == std::vector<int>{5});
    CHECK(names == std::vector<std::string>{"task"});
  } else {
    CHECK(codes.empty());
    CHECK_THROWS_AS(handles.at(place).try_join(), Failure);
    CHECK(handles.at(place).is_empty());
    CHECK(probe.step() == Step{.freed = 1, .live = 2});
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (i != place) CHECK(handles.at(i).try_join() == static_cast<int>(i));
  }
  CHECK(executor.live_tasks() == 0);
  CHECK(codes.size() == (detached ? 1U : 0U));
}

TEST_CASE("an exception at a later poll, after waiting", "[task][throw]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      if (ledger.polls == 2) throw Failure(9);
                                      waker.keep(context);
                                      return Pending;
                                    }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.polls = 1,
                             .threw = 1,
                             .local_wakes = local ? 1U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = 1,
                             .live = 1});
  CHECK_THROWS_AS(handle.try_join(), Failure);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("an exception goes through JoinHandles from task to task", "[task][throw][join]") {
  const Kind kind = ANY_KIND();
  const int length = GENERATE(1, 2, 10);
  CAPTURE(kind, length);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> last = spawn_as(executor, kind, throws(ledger, 3));
  for (int i = 0; i < length; ++i) {
    last = executor.spawn([](JoinHandle<int> inner) -> Async<int> { co_return co_await inner; }, std::move(last));
  }
  const auto tasks = static_cast<std::uint64_t>(length) + 1;
  CHECK(probe.step() == Step{.spawned = tasks, .enqueued = tasks, .live = tasks, .futures = 1});
  CHECK(executor.run_until_stalled() == tasks);
  // The one that throws runs first: each awaiter finds its task done.
  CHECK(probe.step() == Step{.polls = tasks, .threw = tasks, .freed = tasks - 1, .live = 1});
  CHECK_THROWS_AS(last.try_join(), Failure);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("an exception wakes who awaits the handle", "[task][throw][join]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  JoinHandle<int> inner = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                     if (ledger.polls == 2) throw Failure(4);
                                     waker.keep(context);
                                     return Pending;
                                   }));
  JoinHandle<int> outer = executor.spawn(
      [](JoinHandle<int> handle) -> Async<int> {
        try {
          co_return co_await handle;
        } catch (const Failure& failure) {
          co_return failure.code;
        }
      },
      std::move(inner));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2, .futures = 1});
  waker.wake();
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() ==
        Step{.polls = 2, .completed = 1, .threw = 1, .freed = 1, .local_wakes = 2, .enqueued = 2, .live = 1});
  CHECK(outer.try_join() == 4);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("block_on and run throw what the future throws, and the executor goes on", "[task][throw][block_on]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_AS(executor.block_on(awaiting(throws(ledger, i))), Failure);
    CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .threw = 1, .freed = 1, .enqueued = 1});
    CHECK_THROWS_AS(run(awaiting(throws(ledger, i))), Failure);
    CHECK_THROWS_AS(run(throws(ledger, i)), Failure);
    JoinHandle<int> handle = spawn_as(executor, kind, throws(ledger, i));
    CHECK_THROWS_AS(executor.block_on(handle), Failure);
    CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .threw = 2, .freed = 2, .enqueued = 2});
  }
  CHECK(ledger.polls == 12);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("detach() of a task that has thrown hands the exception to the handler", "[task][throw]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  std::vector<int> codes;
  ExecutorOptions options;
  Executor* running = nullptr;
  options.on_unhandled = [&](const TaskInfo&, std::exception_ptr error) {
    codes.push_back(code_of(std::move(error)));
    running->check_deep();
    running->spawn_detached(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
  };
  Executor executor(options);
  running = &executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle = spawn_as(executor, kind, throws(ledger, 6));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .threw = 1, .enqueued = 1, .live = 1});
  CHECK(codes.empty());
  handle.detach();
  CHECK(codes == std::vector<int>{6});
  CHECK(probe.step() == Step{.spawned = 1, .freed = 1, .enqueued = 1, .live = 1, .futures = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1});
}

TEST_CASE("dropping the handle of a task that has thrown drops the exception", "[task][throw]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;  // its default handler would terminate
  Probe probe(executor, ledger);
  JoinHandle<int> handle = spawn_as(executor, kind, throws(ledger, 6));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .threw = 1, .enqueued = 1, .live = 1});
  handle = JoinHandle<int>();
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("the default handler names the task and terminates", "[task][throw][abort]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  const testkit::Death death = testkit::run_in_child([kind] {
    Ledger ledger;
    Executor executor;
    if (kind == Kind::future) {
      executor.spawn_detached("accountant", throws(ledger, 1));
    } else {
      executor.spawn_detached("accountant", awaiting_deeply(throws(ledger, 1), 3));
    }
    executor.run_until_stalled();
  });
  CAPTURE(death.standard_error);
  CHECK(death.aborted);
  CHECK(death.standard_error.find("assay: an exception left a detached task and ends the program: accountant") !=
        std::string::npos);
}

TEST_CASE("an output whose move throws: the task ends with that exception", "[task][throw]") {
  struct Mover {
    explicit Mover(int& countdown) : left(&countdown) {}
    Mover(Mover&& other) : left(other.left) {
      if ((*left)-- == 0) throw Failure(8);
    }
    int* left;
  };
  // The n-th move throws, for every n until none does: through the Poll, the slot and the handle.
  Ledger ledger;
  bool clean = false;
  for (int n = 0; !clean && n < 50; ++n) {
    int left = n;
    Executor executor;
    Probe probe(executor, ledger);
    const auto make = [&left](Context&) -> Poll<Mover> { return Ready<Mover>(Mover(left)); };
    JoinHandle<Mover> handle = executor.spawn(ScriptedFuture<Mover>(ledger, make));
    CHECK(executor.run_until_stalled() == 1);
    executor.check_deep();
    bool threw = false;
    try {
      static_cast<void>(handle.try_join());
    } catch (const Failure& failure) {
      CHECK(failure.code == 8);
      threw = true;
    }
    clean = !threw;
    CHECK(handle.is_empty());
    CHECK(executor.live_tasks() == 0);
    CHECK(executor.stats().completed + executor.stats().threw == 1);
    executor.check_deep();
    CHECK(ledger.futures_alive() == 0);
    if (clean) CHECK(n >= 4);
  }
  CHECK(clean);
}
