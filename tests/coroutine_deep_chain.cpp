// Shows that a chain of 100,000 coroutines awaiting each other runs, is thrown through, is cancelled while it waits,
// and dies with its executor, without recursion; and that a wake at its bottom costs one poll of the leaf.
#include <stdexcept>

#include "assay/audited/frame_pool.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Fall : std::runtime_error {
  Fall() : std::runtime_error("thrown from the bottom") {}
};

// Counts frames by their locals.
struct Level {
  explicit Level(std::uint64_t& count) : alive(count) { ++alive; }
  ~Level() { --alive; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  std::uint64_t& alive;
};

Async<std::uint64_t> descend(std::uint64_t left, std::uint64_t& alive, ScriptedFuture<int>& leaf) {
  const Level level(alive);
  if (left == 0) co_return static_cast<std::uint64_t>(co_await leaf);
  const std::uint64_t below = co_await descend(left - 1, alive, leaf);
  co_return below + 1;
}

struct Bottom {
  Ledger ledger;
  KeptWaker waker{WakerKind::local};
  bool go = false;
  bool fall = false;
  ScriptedFuture<int> leaf{ledger, [this](Context& context) -> Poll<int> {
                             if (!go) {
                               waker.keep(context);
                               return Pending;
                             }
                             if (fall) throw Fall();
                             return Ready(0);
                           }};
};

}  // namespace

TEST_CASE("100,000 coroutines deep: run, woken many times, and returned from", "[coroutine][deep][slow]") {
  const std::uint64_t depth = scaled(100'000, 1000);
  Bottom bottom;
  std::uint64_t alive = 0;
  Executor executor;
  Probe probe(executor, bottom.ledger);
  const audited::FramePoolStats before = audited::frame_pool_stats();
  JoinHandle<std::uint64_t> handle = executor.spawn(descend(depth, alive, bottom.leaf));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(alive == depth + 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  CHECK(audited::frame_pool_stats().taken - before.taken == depth + 1);
  const std::uint64_t wakes = 1000;
  for (std::uint64_t i = 0; i < wakes; ++i) {
    bottom.waker.wake_by_ref();
    executor.run_until_stalled();
  }
  CHECK(bottom.ledger.polls == wakes + 1);
  CHECK(probe.step() == Step{.polls = wakes, .local_wakes = wakes, .enqueued = wakes, .live = 1, .futures = 1});
  bottom.go = true;
  bottom.waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(alive == 0);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .local_wakes = 1, .enqueued = 1, .live = 1, .futures = 1});
  CHECK(handle.try_join() == depth);
  CHECK(audited::frame_pool_stats().freed - before.freed == depth + 1);
  CHECK(probe.step() == Step{.freed = 1, .futures = 1});
}

TEST_CASE("100,000 coroutines deep: thrown through", "[coroutine][deep][slow]") {
  const std::uint64_t depth = scaled(100'000, 1000);
  const bool waits_first = GENERATE(true, false);
  CAPTURE(waits_first);
  Bottom bottom;
  bottom.fall = true;
  bottom.go = !waits_first;
  std::uint64_t alive = 0;
  Executor executor;
  Probe probe(executor, bottom.ledger);
  JoinHandle<std::uint64_t> handle = executor.spawn(descend(depth, alive, bottom.leaf));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(alive == (waits_first ? depth + 1 : 0));
  if (waits_first) {
    bottom.go = true;
    bottom.waker.wake();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(alive == 0);
  }
  const std::uint64_t polls = waits_first ? 2 : 1;
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = polls,
                             .threw = 1,
                             .local_wakes = polls - 1,
                             .enqueued = polls,
                             .live = 1,
                             .futures = 1});
  CHECK_THROWS_AS(handle.try_join(), Fall);
  CHECK(probe.step() == Step{.freed = 1, .futures = 1});
}

TEST_CASE("100,000 coroutines deep: cancelled while it waits", "[coroutine][deep][cancel][slow]") {
  const std::uint64_t depth = scaled(100'000, 1000);
  const int how = GENERATE(0, 1, 2);
  CAPTURE(how);
  Bottom bottom;
  std::uint64_t alive = 0;
  const audited::FramePoolStats before = audited::frame_pool_stats();
  if (how == 2) {
    const Waker waker;
    Context context(waker);
    Async<std::uint64_t> async = descend(depth, alive, bottom.leaf);
    CHECK(async.poll(context).is_pending());
    CHECK(async.check_deep() == depth + 1);
    CHECK(alive == depth + 1);
  } else {
    JoinHandle<std::uint64_t> handle;
    Executor executor;
    handle = executor.spawn(descend(depth, alive, bottom.leaf));
    CHECK(executor.run_until_stalled() == 1);
    CHECK(alive == depth + 1);
    if (how == 0) {
      handle.cancel();
      CHECK(alive == 0);
    }
  }  // how 1: dies with its executor
  CHECK(alive == 0);
  const audited::FramePoolStats after = audited::frame_pool_stats();
  CHECK(after.taken - before.taken == depth + 1);
  CHECK(after.freed - before.freed == depth + 1);
  bottom.waker.drop();
}

TEST_CASE("a chain that returns without ever waiting, a million times over", "[coroutine][deep][slow]") {
  const std::uint64_t rounds = scaled(1'000'000, 1000);
  auto child = [](std::uint64_t value) -> Async<std::uint64_t> { co_return value; };
  auto parent = [&](std::uint64_t count) -> Async<std::uint64_t> {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) sum += co_await child(1);
    co_return sum;
  };
  CHECK(run(parent(rounds)) == rounds);
}

TEST_CASE("roots polled inside each other: 400 are fine, 600 abort", "[coroutine][deep][abort]") {
  // A hand-written future that polls an Async which awaits the next such future.
  struct Nest {
    using Output = int;
    explicit Nest(int left) : async(go(left)) {}
    static Async<int> go(int left) {
      if (left == 0) co_return 0;
      Nest inner(left - 1);
      const int below = co_await inner;
      co_return below + 1;
    }
    Poll<int> poll(Context& context) { return async.poll(context); }
    Async<int> async;
  };
  CHECK(run(Nest(400)) == 400);
  check_dies("join, select or poll nested more than 500 coroutines in each other; co_await them directly or spawn them",
             [] { run(Nest(600)); });
}

TEST_CASE("fresh coroutines that own each other: 1000 are fine, 3000 abort", "[coroutine][deep][abort]") {
  const auto destroy_fresh = [](int length) {
    auto owns = [](Async<int> inner) -> Async<int> { co_return co_await inner; };
    auto last = []() -> Async<int> { co_return 0; };
    Async<int> outermost = last();
    for (int i = 0; i < length; ++i) outermost = owns(std::move(outermost));
  };
  check_survives([&] { destroy_fresh(1000); });
  check_dies("a chain of more than 2000 coroutines that own each other is destroyed without having been awaited",
             [&] { destroy_fresh(3000); });
  // Awaited instead, such a chain may be as long as it likes.
  auto owns = [](Async<int> inner) -> Async<int> {
    const int below = co_await inner;
    co_return below + 1;
  };
  auto last = []() -> Async<int> { co_return 0; };
  Async<int> outermost = last();
  constexpr int length = 3000;
  for (int i = 0; i < length; ++i) outermost = owns(std::move(outermost));
  CHECK(run(outermost) == length);
}
