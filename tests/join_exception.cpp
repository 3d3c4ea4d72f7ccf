// Shows that what a joined future throws leaves the join at once, that the futures behind it are not polled any more,
// and that all futures and values are destroyed then, once.
#include <optional>
#include <stdexcept>
#include <vector>

#include <catch2/generators/catch_generators_range.hpp>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Thrown {
  int id;
};

enum class Act { ready, wait, fail };

ScriptedFuture<Counted> acting(Ledger& ledger, std::vector<int>& polled, int id, Act act) {
  return ScriptedFuture<Counted>(ledger, [&ledger, &polled, id, act](Context&) -> Poll<Counted> {
    polled.push_back(id);
    if (act == Act::fail) throw Thrown{id};
    if (act == Act::wait) return Pending;
    return Ready(Counted(ledger, id));
  });
}

Async<int> fails(int id, int yields) {
  for (; yields > 0; --yields) co_await yield_now();
  throw Thrown{id};
}

}  // namespace

TEST_CASE("the first that throws ends a join", "[join]") {
  const auto any = [] { return GENERATE(Act::ready, Act::wait, Act::fail); };
  const Act acts[] = {any(), any(), any()};
  int first = 0;
  for (int id = 3; id > 0; --id) {
    if (acts[id - 1] == Act::fail) first = id;
  }
  if (first == 0) return;
  Ledger ledger;
  {
    Hand a;
    std::vector<int> polled;
    const auto make = [&] {
      return join(acting(ledger, polled, 1, acts[0]), acting(ledger, polled, 2, acts[1]),
                  acting(ledger, polled, 3, acts[2]));
    };
    std::optional<decltype(make())> all(make());
    try {
      static_cast<void>(a.poll(*all));
      FAIL("nothing was thrown");
    } catch (const Thrown& thrown) {
      CHECK(thrown.id == first);
    }
    std::vector<int> expected;
    for (int id = 1; id <= first; ++id) expected.push_back(id);
    CHECK(polled == expected);
    CHECK(ledger.futures_alive() == 0);
    CHECK(ledger.values_alive() == 0);
    CHECK(a.seen() == Seen{});
    all.reset();
    CHECK(ledger.polls == static_cast<std::uint64_t>(first));
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("abort: a join is polled again after it threw", "[join][dies]") {
  check_dies("polled again after it was Ready", [] {
    Hand a;
    Ledger ledger;
    std::vector<int> polled;
    auto two = join(acting(ledger, polled, 1, Act::fail), acting(ledger, polled, 2, Act::wait));
    try {
      static_cast<void>(a.is_ready(two));
    } catch (const Thrown&) {
      static_cast<void>(a.is_ready(two));
    }
  });
}

TEST_CASE("a coroutine catches what a future that it joins throws, and goes on", "[join]") {
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    const auto body = [&](int yields) -> Async<int> {
      int caught = 0;
      ScriptedFuture<void> never(ledger, [](Context&) -> Poll<void> { return Pending; });
      try {
        auto all = join(std::move(never), fails(7, yields), forever());
        co_await all;
      } catch (const Thrown& thrown) {
        caught = thrown.id;
      }
      CHECK(ledger.futures_alive() == 0);
      co_await yield_now();
      co_return caught;
    };
    const int yields = GENERATE(0, 2);
    CHECK(executor.block_on(body(yields)) == 7);
    CHECK(probe.step().completed == 1);
    CHECK(executor.live_tasks() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task that is cancelled in a join destroys what it joined", "[join]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  const auto body = [&]() -> Async<void> {
    ScriptedFuture<void> one(ledger, [](Context&) -> Poll<void> { return Pending; });
    ScriptedFuture<void> two(ledger, [](Context&) -> Poll<void> { return Pending; });
    auto all = join(std::move(one), forever(), std::move(two));
    co_await all;
  };
  JoinHandle<void> task = executor.spawn(body);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 2});
  task.cancel();
  CHECK(probe.step() == Step{.cancelled = 1, .live = 1});
  CHECK(ledger.leftovers().empty());
}
