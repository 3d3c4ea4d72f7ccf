// Shows that join polls each future until it is Ready and no longer, destroys it then, and yields all values, in every
// mix of futures that are Ready at once and later; for values, void, references and what can only be moved.
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/generators/catch_generators_range.hpp>

#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Ready at its poll number `at`; tells each poll.
ScriptedFuture<Counted> ready_at(Ledger& ledger, std::vector<int>& polled, int id, int at) {
  return ScriptedFuture<Counted>(ledger, [&ledger, &polled, id, left = at](Context& context) mutable -> Poll<Counted> {
    polled.push_back(id);
    if (--left == 0) return Ready(Counted(ledger, id));
    context.local_waker().wake_by_ref();
    return Pending;
  });
}

Async<int> number(int value, int yields) {
  for (; yields > 0; --yields) co_await yield_now();
  co_return value;
}

}  // namespace

TEST_CASE("every mix of futures that are Ready at once and later", "[join]") {
  const int first = GENERATE(range(1, 4));
  const int second = GENERATE(range(1, 4));
  const int third = GENERATE(range(1, 4));
  CAPTURE(first, second, third);
  Ledger ledger;
  {
    Hand a;
    std::vector<int> polled;
    auto all = join(ready_at(ledger, polled, 1, first), ready_at(ledger, polled, 2, second),
                    ready_at(ledger, polled, 3, third));
    CHECK(polled.empty());  // lazy
    const int rounds = std::max({first, second, third});
    for (int round = 1; round <= rounds; ++round) {
      polled.clear();
      auto result = a.poll(all);
      std::vector<int> expected;
      if (round <= first) expected.push_back(1);
      if (round <= second) expected.push_back(2);
      if (round <= third) expected.push_back(3);
      CHECK(polled == expected);  // from left to right; none that is Ready
      const auto done = static_cast<std::uint64_t>((round >= first) + (round >= second) + (round >= third));
      CHECK(ledger.futures_alive() == 3 - done);  // each destroyed when it is Ready
      CHECK(result.is_ready() == (round == rounds));
      CHECK(ledger.values_alive() == (round == rounds ? 3U : done));  // those inside are moved-from at the end
      CHECK(a.seen().wakes == 3 - done);
      if (result.is_pending()) continue;
      const auto [x, y, z] = std::move(result).take();
      CHECK(x.value() == 1);
      CHECK(y.value() == 2);
      CHECK(z.value() == 3);
    }
    CHECK(ledger.polls == static_cast<std::uint64_t>(first + second + third));
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("join of values, void, references and what can only be moved", "[join]") {
  Ledger ledger;
  {
    Hand a;
    int target = 5;
    auto all =
        join(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); }),
             ScriptedFuture<void>(ledger, [](Context&) -> Poll<void> { return Ready(); }),
             ScriptedFuture<int&>(ledger, [&](Context&) -> Poll<int&> { return Ready(std::ref(target)); }),
             ScriptedFuture<std::unique_ptr<std::string>>(ledger, [](Context&) -> Poll<std::unique_ptr<std::string>> {
               return Ready(std::make_unique<std::string>("moved"));
             }));
    using Output = decltype(all)::Output;
    static_assert(
        std::is_same_v<Output, std::tuple<int, Unit, std::reference_wrapper<int>, std::unique_ptr<std::string>>>);
    auto result = a.poll(all);
    CHECK(a.counting.clones() == 0);
    Output values = std::move(result).take();
    CHECK(std::get<0>(values) == 1);
    CHECK(&std::get<2>(values).get() == &target);
    CHECK(*std::get<3>(values) == "moved");
    CHECK(ledger.futures_alive() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("join of one, and of none", "[join]") {
  Hand a;
  auto none = join();
  CHECK(a.poll(none).is_ready());
  auto one = join(yield_now());
  CHECK(a.poll(one).is_pending());
  CHECK(a.poll(one).is_ready());
  CHECK(a.seen() == Seen{.wakes = 1});
}

TEST_CASE("a future that is joined as an lvalue is moved from", "[join]") {
  Hand a;
  Async<int> six = number(6, 0);
  auto both = join(std::move(six), number(7, 1));
  CHECK(a.poll(both).is_pending());
  CHECK(a.poll(both).take() == std::tuple(6, 7));
}

TEST_CASE("join of coroutines, of joins, and of tasks, inside a task", "[join]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  SECTION("coroutines take turns") {
    const auto both = []() -> Async<int> {
      auto [x, y] = co_await join(number(1, 3), number(2, 1));
      co_return 10 * x + y;
    };
    CHECK(executor.block_on(both) == 12);
    CHECK(probe.step() == Step{.spawned = 1, .polls = 4, .completed = 1, .freed = 1, .local_wakes = 4, .enqueued = 4});
  }
  SECTION("joins") {
    const auto nested = []() -> Async<int> {
      auto outer = join(join(number(1, 1), number(2, 0)), number(3, 2));
      auto [inner, z] = co_await outer;
      auto [x, y] = inner;
      co_return 100 * x + 10 * y + z;
    };
    CHECK(executor.block_on(nested) == 123);
  }
  SECTION("tasks") {
    const auto tasks = [](Executor& mine) -> Async<int> {
      JoinHandle<int> first = mine.spawn(number(1, 2));
      JoinHandle<int> second = mine.spawn(number(2, 0));
      auto both = join(std::move(first), std::move(second));
      auto [x, y] = co_await both;
      co_return 10 * x + y;
    };
    CHECK(executor.block_on(tasks, std::ref(executor)) == 12);
    const Step step = probe.step();
    CHECK(step.spawned == 3);
    CHECK(step.completed == 3);
    CHECK(step.cancelled == 0);
  }
  executor.check_deep();
  CHECK(executor.live_tasks() == 0);
}
