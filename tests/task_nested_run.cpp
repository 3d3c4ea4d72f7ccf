// Shows run() and block_on() inside each other: each has its own wakes. The inner cannot eat the outer's wake nor cause
// one, and the reverse; a first call's waker does not reach a second call's; and re-entering one executor aborts.
#include <latch>
#include <semaphore>
#include <thread>
#include <vector>

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// How the inner future is driven from inside the outer one's poll.
enum class Inner { run, block_on };

std::ostream& operator<<(std::ostream& out, Inner inner) { return out << (inner == Inner::run ? "run" : "block_on"); }

#define ANY_INNER() GENERATE(Inner::run, Inner::block_on)

template <class F>
auto drive(Inner how, F&& future) {
  if (how == Inner::run) return run(future);
  Executor executor;
  return executor.block_on(future);
}

// Pending `times` times, waking itself each time.
ScriptedFuture<int> yields(Ledger& ledger, std::uint64_t times) {
  return ScriptedFuture<int>(ledger, [left = times](Context& context) mutable -> Poll<int> {
    if (left-- == 0) return Ready(1);
    context.waker().wake_by_ref();
    return Pending;
  });
}

}  // namespace

TEST_CASE("B02 inner cannot wake outer", "[nested][regression]") {
  const Inner inner = ANY_INNER();
  const Kind kind = ANY_KIND();
  CAPTURE(inner, kind);
  Ledger outer_ledger;
  Ledger inner_ledger;
  Executor executor;
  Probe probe(executor, outer_ledger);
  KeptWaker waker(WakerKind::local);
  JoinHandle<int> handle =
      spawn_as(executor, kind, ScriptedFuture<int>(outer_ledger, [&](Context& context) -> Poll<int> {
                 if (outer_ledger.polls == 2) return Ready(2);
                 CHECK(drive(inner, yields(inner_ledger, 5)) == 1);
                 waker.keep(context);
                 return Pending;
               }));
  CHECK(executor.run_until_stalled() == 1);  // a sixth would be the inner's wakes arriving here
  CHECK(inner_ledger.polls == 6);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(handle.try_join() == 2);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .local_wakes = 1, .enqueued = 1});
}

TEST_CASE("B02 outer cannot wake inner", "[nested][regression]") {
  const Inner inner = ANY_INNER();
  CAPTURE(inner);
  Ledger outer_ledger;
  Ledger inner_ledger;
  std::thread thread;
  std::binary_semaphore go(0);
  const auto outer = [&](Context& outer_context) -> Poll<int> {
    if (outer_ledger.polls == 2) return Ready(2);
    const auto poll = [&](Context& context) -> Poll<int> {
      if (inner_ledger.polls == 2) return Ready(1);
      outer_context.waker().wake_by_ref();  // must not be taken for ours
      thread = std::thread([&go, waker = context.waker()] {
        go.acquire();
        waker.wake_by_ref();
      });
      go.release();
      return Pending;
    };
    CHECK(drive(inner, ScriptedFuture<int>(inner_ledger, poll)) == 1);
    thread.join();
    return Pending;
  };
  CHECK(run(ScriptedFuture<int>(outer_ledger, outer)) == 2);
  CHECK(inner_ledger.polls == 2);
  CHECK(outer_ledger.polls == 2);  // its wake came during the inner call, and was not eaten
}

TEST_CASE("B01 B02 inner cannot eat a wake of outer that comes before, during or after it", "[nested][regression]") {
  const Inner inner = ANY_INNER();
  const Kind kind = ANY_KIND();
  const bool outer_is_run = GENERATE(true, false);
  const int when = GENERATE(0, 1, 2);
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(inner, kind, outer_is_run, when, waker_kind);
  Ledger outer_ledger;
  Ledger inner_ledger;
  ScriptedFuture<int> script(outer_ledger, [&](Context& context) -> Poll<int> {
    if (outer_ledger.polls == 2) return Ready(2);
    KeptWaker waker(waker_kind);
    waker.keep(context);
    if (when == 0) waker.wake_by_ref();
    const auto poll = [&](Context& inner_context) -> Poll<int> {
      if (inner_ledger.polls == 3) return Ready(1);
      if (when == 1) waker.wake_by_ref();
      inner_context.waker().wake_by_ref();
      return Pending;
    };
    CHECK(drive(inner, ScriptedFuture<int>(inner_ledger, poll)) == 1);
    if (when == 2) waker.wake_by_ref();
    return Pending;
  });
  if (outer_is_run) {
    CHECK(run(awaiting(std::move(script))) == 2);
  } else {
    Executor executor;
    Probe probe(executor, outer_ledger);
    JoinHandle<int> handle = spawn_as(executor, kind, std::move(script));
    CHECK(executor.run_until_stalled() == 2);
    const bool local = waker_kind == WakerKind::local;
    CHECK(handle.try_join() == 2);
    CHECK(probe.step() == Step{.spawned = 1,
                               .polls = 2,
                               .completed = 1,
                               .freed = 1,
                               .local_wakes = local ? (when == 1 ? 2U : 1U) : 0U,
                               .remote_wakes = local ? 0U : 1U,
                               .enqueued = 2});
  }
  CHECK(inner_ledger.polls == 3);
  CHECK(outer_ledger.polls == 2);
}

TEST_CASE("B02 the first run's waker cannot wake the second, nor the reverse", "[nested][regression]") {
  const Inner how = ANY_INNER();
  CAPTURE(how);
  Ledger ledger;
  Waker first;
  CHECK(drive(how, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                if (ledger.polls == 2) return Ready(1);
                first = context.waker();
                first.wake_by_ref();
                return Pending;
              })) == 1);
  CHECK(ledger.polls == 2);
  first.wake_by_ref();  // nobody is there

  // first cannot wake second: the second is polled again only by its own wake.
  Ledger second_ledger;
  bool woken = false;
  std::thread thread;
  Waker second;
  CHECK(drive(how, ScriptedFuture<int>(second_ledger, [&](Context& context) -> Poll<int> {
                if (second_ledger.polls == 2) {
                  thread.join();
                  CHECK(woken);
                  return Ready(2);
                }
                second = context.waker();
                first.wake_by_ref();
                thread = std::thread([&woken, mine = second, stale = first] {
                  stale.wake_by_ref();
                  woken = true;
                  mine.wake_by_ref();
                });
                return Pending;
              })) == 2);
  CHECK(second_ledger.polls == 2);

  // second cannot wake first: both ended, both wakers do nothing, in any order.
  second.wake_by_ref();
  first.wake_by_ref();
  std::move(first).wake();
  std::move(second).wake();
  CHECK(ledger.polls == 2);
  CHECK(second_ledger.polls == 2);
}

TEST_CASE("B01 a poll that blocks its thread and takes every token there is does not lose the task's wake",
          "[nested][regression]") {
  const Kind kind = ANY_KIND();
  const bool outer_is_run = GENERATE(true, false);
  CAPTURE(kind, outer_is_run);
  Ledger ledger;
  std::vector<std::thread> threads;
  ScriptedFuture<int> script(ledger, [&](Context& context) -> Poll<int> {
    if (ledger.polls == 2) return Ready(2);
    // The wake of this task comes first, and then the poll parks this thread in every way that it can.
    threads.emplace_back([waker = context.waker()] { waker.wake_by_ref(); });
    threads.back().join();
    const audited::FunctionWaker<audited::Parker>::Made parker = audited::FunctionWaker<audited::Parker>::make();
    threads.emplace_back([waker = parker.waker] { waker.wake_by_ref(); });
    parker.callable.park();
    std::binary_semaphore semaphore(0);
    threads.emplace_back([&semaphore] { semaphore.release(); });
    semaphore.acquire();
    Ledger nested;
    CHECK(run(yields(nested, 3)) == 1);
    Executor executor;
    CHECK(executor.block_on(yields(nested, 3)) == 1);
    return Pending;
  });
  if (outer_is_run) {
    CHECK(run(awaiting(std::move(script))) == 2);
  } else {
    Executor executor;
    JoinHandle<int> handle = spawn_as(executor, kind, std::move(script));
    CHECK(executor.block_on(handle) == 2);
    CHECK(executor.stats().remote_wakes == 1);
    CHECK(executor.live_tasks() == 0);
    executor.check_deep();
  }
  CHECK(ledger.polls == 2);
  for (std::thread& thread : threads) {
    if (thread.joinable()) thread.join();
  }
}

TEST_CASE("run in run in run", "[nested]") {
  const int depth = GENERATE(1, 2, 20);
  CAPTURE(depth);
  struct Nest {
    static int go(int left) {
      if (left == 0) return 0;
      Ledger ledger;
      const int below = run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
        if (ledger.polls == 1) {
          context.waker().wake_by_ref();
          return Pending;
        }
        return Ready(go(left - 1));
      }));
      CHECK(ledger.polls == 2);
      return below + 1;
    }
  };
  CHECK(Nest::go(depth) == depth);
}

TEST_CASE("executors nested in each other's tasks", "[nested]") {
  Executor first;
  Executor second;
  Ledger ledger;
  Probe probe1(first, ledger);
  Probe probe2(second, ledger);
  auto in_second = [](Ledger& counts) -> Async<int> {
    co_await yield_now();
    const int ran = run(yields(counts, 1));
    co_return ran + 1;
  };
  auto in_first = [&](Executor& other) -> Async<int> {
    co_await yield_now();
    const int got = other.block_on(in_second, std::ref(ledger));
    co_await yield_now();
    co_return got + 1;
  };
  CHECK(first.block_on(in_first, std::ref(second)) == 3);
  CHECK(probe1.step() == Step{.spawned = 1, .polls = 3, .completed = 1, .freed = 1, .local_wakes = 2, .enqueued = 3});
  CHECK(probe2.step() == Step{.spawned = 1, .polls = 2, .completed = 1, .freed = 1, .local_wakes = 1, .enqueued = 2});
  CHECK(ledger.polls == 2);
}

TEST_CASE("abort: an executor entered from inside itself", "[nested][abort]") {
  const auto inside = [](void (*use)(Executor&)) {
    return [use] {
      Executor executor;
      executor.block_on(
          [](Executor& mine, void (*action)(Executor&)) -> Async<void> {
            action(mine);
            co_return;
          },
          std::ref(executor), use);
    };
  };
  check_dies("Executor::block_on was called from inside this executor; co_await the future instead",
             inside([](Executor& executor) { executor.block_on(YieldNow()); }));
  check_dies("Executor::run_until_stalled was called from inside this executor",
             inside([](Executor& executor) { executor.run_until_stalled(); }));
  check_dies("Executor::poll_once was called from inside this executor",
             inside([](Executor& executor) { executor.poll_once(); }));
  check_survives(inside([](Executor& executor) {
    executor.spawn_detached(YieldNow());
    executor.tasks();
    executor.check_deep();
  }));
}
