// Shows that a fair select lets each of several ready futures win about equally often, that its choices repeat exactly
// for the same seed, and that within one select each future is polled first in turn.
#include <algorithm>
#include <array>
#include <vector>

#include "support/kinds.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// At once Ready.
struct Now {
  using Output = int;
  int value;
  Poll<int> poll(Context&) { return Ready(value); }
};

// Ready when it is said.
struct When {
  using Output = void;
  const bool& is_ready;
  Poll<void> poll(Context&) { return is_ready ? Poll<void>(Ready()) : Pending; }
};

std::vector<std::size_t> winners(std::uint64_t seed, int rounds) {
  ExecutorOptions options;
  options.seed = seed;
  Executor executor(std::move(options));
  const auto body = [](int count) -> Async<std::vector<std::size_t>> {
    std::vector<std::size_t> won;
    for (int i = 0; i < count; ++i) {
      auto three = select(Now{0}, Now{1}, Now{2});
      const auto first = co_await three;
      won.push_back(first.index());
    }
    co_return won;
  };
  return executor.block_on(body(rounds));
}

}  // namespace

TEST_CASE("each ready future wins about equally often", "[select]") {
  const std::uint64_t seed = GENERATE(0U, 1U, 2U, 12345U, ~std::uint64_t{0});
  CAPTURE(seed);
  constexpr int rounds = 3000;
  std::array<int, 3> wins{};
  for (const std::size_t winner : winners(seed, rounds)) ++wins.at(winner);
  for (const int count : wins) {
    CHECK(count > rounds / 3 - 150);  // nearly six standard deviations
    CHECK(count < rounds / 3 + 150);
  }
}

TEST_CASE("the choices of select repeat for the same seed", "[select]") {
  CHECK(winners(7, 200) == winners(7, 200));
  CHECK(winners(7, 200) != winners(8, 200));
}

TEST_CASE("within one select each future is polled first in turn", "[select]") {
  Ledger ledger;
  {
    const std::uint64_t seed = GENERATE(1U, 2U, 3U, 4U, 5U);
    ExecutorOptions options;
    options.seed = seed;
    Executor executor(std::move(options));
    Hand a;
    std::vector<int> polled;
    const auto waiting = [&](int id) {
      return ScriptedFuture<void>(ledger, [&polled, id](Context&) -> Poll<void> {
        polled.push_back(id);
        return Pending;
      });
    };
    auto three = select(waiting(0), waiting(1), waiting(2));
    CHECK(a.poll(three, executor).is_pending());
    REQUIRE(polled.size() == 3);
    int first = polled[0];
    for (int round = 0; round < 7; ++round) {
      CHECK(polled == std::vector<int>{first, (first + 1) % 3, (first + 2) % 3});
      first = (first + 1) % 3;
      polled.clear();
      CHECK(a.poll(three, executor).is_pending());
    }
    CHECK(ledger.futures_alive() == 3);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("without an executor a select begins with the first, and then takes turns", "[select]") {
  Hand a;
  std::array<bool, 2> ready{};
  auto both = select(When{ready[0]}, When{ready[1]});
  CHECK(a.poll(both).is_pending());
  ready = {true, true};
  CHECK(a.poll(both).take().index() == 1);
}
