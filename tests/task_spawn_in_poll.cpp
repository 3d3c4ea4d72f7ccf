// Shows tasks that spawn during their poll: the new ones run after those that are ready, exactly once each, may be
// awaited, dropped or cancelled on the spot, and grow the memory while it is in use.
#include <stdexcept>
#include <vector>

#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("spawn in poll", "[task]") {
  const Kind kind = ANY_KIND();
  const Kind inner_kind = ANY_KIND();
  const int count = GENERATE(1, 3, 400);  // 400: more than a chunk of slots
  enum { keep, detach, drop };
  const int fate = GENERATE(static_cast<int>(keep), static_cast<int>(detach), static_cast<int>(drop));
  CAPTURE(kind, inner_kind, count, fate);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::vector<int> order;
  std::vector<JoinHandle<int>> handles;
  const auto leaf = [&](int id) {
    return ScriptedFuture<int>(ledger, [&order, id](Context&) -> Poll<int> {
      order.push_back(id);
      return Ready(id);
    });
  };
  JoinHandle<int> spawner = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                       CHECK(context.executor() == &executor);
                                       for (int i = 0; i < count; ++i) {
                                         JoinHandle<int> handle = spawn_as(executor, inner_kind, leaf(i));
                                         if (fate == keep) handles.push_back(std::move(handle));
                                         if (fate == detach) handle.detach();
                                       }
                                       CHECK(order.empty());  // none has run yet
                                       return Ready(-1);
                                     }));
  JoinHandle<int> neighbour = spawn_as(executor, kind, leaf(-2));
  const auto n = static_cast<std::uint64_t>(count);
  CHECK(executor.run_until_stalled() == (fate == drop ? 2 : n + 2));
  CHECK(probe.step() == Step{.spawned = n + 2,
                             .polls = fate == drop ? 2 : n + 2,
                             .completed = fate == drop ? 2 : n + 2,
                             .cancelled = fate == drop ? n : 0,
                             .freed = fate == keep ? 0 : n,
                             .enqueued = n + 2,
                             .live = fate == keep ? n + 2 : 2});
  std::vector<int> expected{-2};
  for (int i = 0; fate != drop && i < count; ++i) expected.push_back(i);
  CHECK(order == expected);
  CHECK(spawner.try_join() == -1);
  CHECK(neighbour.try_join() == -2);
  for (int i = 0; i < static_cast<int>(handles.size()); ++i) {
    CHECK(handles.at(static_cast<std::size_t>(i)).try_join() == i);
  }
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task that spawns and awaits its like, many deep", "[task]") {
  struct Nest {
    static Async<int> go(int left) {
      if (left == 0) co_return 0;
      Executor& executor = co_await current_executor();
      JoinHandle<int> below = executor.spawn(go(left - 1));
      const int depth = co_await below;
      co_return depth + 1;
    }
  };
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  constexpr int depth = 500;
  JoinHandle<int> top = executor.spawn(Nest::go(depth));
  CHECK(executor.run_until_stalled() == 2 * depth + 1);
  CHECK(probe.step() == Step{.spawned = depth + 1,
                             .polls = 2 * depth + 1,
                             .completed = depth + 1,
                             .freed = depth,
                             .local_wakes = depth,
                             .enqueued = 2 * depth + 1,
                             .live = 1});
  CHECK(top.try_join() == depth);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("spawn keeps what the callable captures and its arguments alive as long as the task", "[task]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle;
  {
    Counted captured(ledger, 3);
    Counted argument(ledger, 4);
    auto sum = [mine = std::move(captured)](const Counted& other) -> Async<int> {
      co_await yield_now();
      co_return mine.value() * 10 + other.value();
    };
    handle = executor.spawn(std::move(sum), std::move(argument));
  }
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .values = 2});
  CHECK(executor.poll_once());
  CHECK(probe.step() == Step{.polls = 1, .local_wakes = 1, .enqueued = 1, .live = 1, .values = 2});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .live = 1});
  CHECK(handle.try_join() == 34);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a spawn whose future cannot be made leaves nothing behind", "[task][throw]") {
  struct Throwing {
    using Output = int;
    explicit Throwing(Ledger& counts) : value(counts, 1) {}
    Throwing(Throwing&&) : value(nowhere(), 1) {}
    static Ledger& nowhere() { throw std::runtime_error("cannot be moved"); }
    Poll<int> poll(Context&) { return Ready(1); }
    Counted value;
  };
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_AS(executor.spawn(Throwing(ledger)), std::runtime_error);
    CHECK(probe.step() == Step{});
  }
  CHECK_FALSE(executor.poll_once());
  JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(handle.try_join() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
}
