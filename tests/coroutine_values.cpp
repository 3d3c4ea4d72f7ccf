// Shows what an Async yields: values, references, void, move-only and throwing types, through co_await of children
// given as temporaries and as variables, of any Future, and through run(); and exceptions at every depth.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

Async<int> number(int value) { co_return value; }
Async<int> number_later(int value) {
  co_await yield_now();
  co_return value;
}
Async<void> nothing(int& count) {
  ++count;
  co_return;
}
Async<std::unique_ptr<int>> unique(int value) { co_return std::make_unique<int>(value); }
Async<std::string> text(std::string given) { co_return given + "!"; }
Async<int&> reference(int& target) { co_return target; }
Async<const std::string&> constant(const std::string& target) { co_return target; }
Async<Counted> counted(Ledger& ledger, int value) { co_return Counted(ledger, value); }

template <class E>
Async<int> fails(int depth, E error, bool later) {
  if (depth > 0) {
    const int value = co_await fails(depth - 1, error, later);
    co_return value;
  }
  if (later) co_await yield_now();
  throw error;
}

}  // namespace

TEST_CASE("co_await of children yields their values", "[coroutine]") {
  const bool with_executor = GENERATE(false, true);
  CAPTURE(with_executor);
  int count = 0;
  int target = 1;
  const std::string words = "some words that are too long for the small buffer of a string";
  auto body = [&]() -> Async<int> {
    const int sum = co_await number(1) + co_await number_later(2);
    CHECK(sum == 3);
    co_await nothing(count);
    std::unique_ptr<int> owned = co_await unique(4);
    CHECK(*owned == 4);
    const std::string shout = co_await text(words);
    CHECK(shout == words + "!");
    int& same = co_await reference(target);
    CHECK(&same == &target);
    same = 5;
    const std::string& same_words = co_await constant(words);
    CHECK(&same_words == &words);
    // A variable, and a future that is no coroutine.
    Async<int> child = number_later(6);
    const int six = co_await child;
    Async<int> moved = std::move(child);  // empty by now, as it was awaited to its end
    YieldNow yield;
    co_await yield;
    co_await YieldNow();
    co_return six;
  };
  if (with_executor) {
    Executor executor;
    CHECK(executor.block_on(body) == 6);
    CHECK(executor.live_tasks() == 0);
  } else {
    CHECK(run(body()) == 6);
  }
  CHECK(count == 1);
  CHECK(target == 5);
}

TEST_CASE("a value is made once, moved, and destroyed as often as made", "[coroutine]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  auto body = [&]() -> Async<int> {
    Counted first = co_await counted(ledger, 1);
    CHECK(ledger.values_alive() == 1);
    Async<Counted> child = counted(ledger, 2);
    Counted second = co_await child;
    CHECK(ledger.values_alive() == 2);
    ScriptedFuture<Counted> script(ledger, [&](Context&) -> Poll<Counted> { return Ready(Counted(ledger, 3)); });
    Counted third = co_await script;
    CHECK(ledger.values_alive() == 3);
    co_return first.value() * 100 + second.value() * 10 + third.value();
  };
  CHECK(executor.block_on(body) == 123);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
  JoinHandle<Counted> handle =
      spawn_as(executor, kind,
               ScriptedFuture<Counted>(ledger, [&](Context&) -> Poll<Counted> { return Ready(Counted(ledger, 4)); }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .enqueued = 1, .live = 1, .values = 1});
  CHECK(handle.try_join()->value() == 4);
  CHECK(probe.step() == Step{.freed = 1});
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("exceptions pass through coroutines of any depth", "[coroutine][throw]") {
  const int depth = GENERATE(0, 1, 2, 50);
  const bool later = GENERATE(false, true);
  const bool with_executor = GENERATE(false, true);
  CAPTURE(depth, later, with_executor);
  const auto drive = [&](auto future) {
    if (!with_executor) return run(future);
    Executor executor;
    return executor.block_on(future);
  };
  CHECK_THROWS_AS(drive(fails(depth, std::runtime_error("on purpose"), later)), std::runtime_error);
  CHECK_THROWS_AS(drive(fails(depth, 42, later)), int);
  auto recovers = [&](int levels, bool wait) -> Async<int> {
    int caught = 0;
    for (int i = 0; i < 3; ++i) {
      try {
        co_await fails(levels, std::string("on purpose"), wait);
      } catch (const std::string& what) {
        CHECK(what == "on purpose");
        ++caught;
      }
    }
    co_return caught;
  };
  CHECK(drive(recovers(depth, later)) == 3);
}

TEST_CASE("a hand-written future that throws, awaited", "[coroutine][throw]") {
  const bool later = GENERATE(false, true);
  CAPTURE(later);
  Ledger ledger;
  auto body = [&]() -> Async<int> {
    ScriptedFuture<int> script(ledger, [&](Context& context) -> Poll<int> {
      if (later && ledger.polls == 1) {
        context.waker().wake_by_ref();
        return Pending;
      }
      throw std::runtime_error("on purpose");
    });
    try {
      co_await script;
    } catch (const std::runtime_error&) {
      co_return 1;
    }
    co_return 2;
  };
  CHECK(run(body()) == 1);
  CHECK(ledger.polls == (later ? 2 : 1));
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a co_return that throws, and a move that throws on its way out", "[coroutine][throw]") {
  struct Mover {
    explicit Mover(int& countdown) : left(&countdown) {}
    Mover(Mover&& other) : left(other.left) {
      if ((*left)-- == 0) throw std::runtime_error("cannot be moved");
    }
    int* left;
  };
  bool clean = false;
  for (int n = 0; !clean && n < 50; ++n) {
    int left = n;
    auto inner = [](int& countdown) -> Async<Mover> { co_return Mover(countdown); };
    auto outer = [&]() -> Async<int> {
      const Mover mover = co_await inner(left);
      CHECK(mover.left == &left);
      co_return 1;
    };
    int result = 0;
    try {
      result = run(outer());
    } catch (const std::runtime_error&) {
    }
    clean = result == 1;
    if (clean) CHECK(n >= 2);
  }
  CHECK(clean);
}

TEST_CASE("an Async is lazy, and one that is dropped unpolled destroys its arguments", "[coroutine]") {
  Ledger ledger;
  int ran = 0;
  auto body = [&ran](Counted value) -> Async<int> {
    ++ran;
    co_return value.value();
  };
  {
    Async<int> async = body(Counted(ledger, 1));
    CHECK(ran == 0);
    CHECK(ledger.values_alive() == 1);
    Async<int> other = std::move(async);
    CHECK(ledger.values_alive() == 1);
    other = body(Counted(ledger, 2));  // the first frame goes
    CHECK(ledger.values_alive() == 1);
    CHECK(other.check_deep() == 0);
    CHECK(other.waiting_at() == nullptr);
  }
  CHECK(ran == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("loops and branches around co_await", "[coroutine]") {
  Executor executor;
  auto body = []() -> Async<int> {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      Async<int> child = i % 2 == 0 ? number(i) : number_later(i);  // g++ 12 miscompiles co_await (a ? b() : c())
      const int value = co_await child;
      if (value % 3 == 0) continue;
      sum += value;
    }
    std::vector<int> order;
    while (order.size() < 5) {
      const bool more = co_await number_later(1) == 1;
      if (!more) break;
      order.push_back(co_await number(static_cast<int>(order.size())));
    }
    std::optional<int> last;
    last = co_await number(order.back());
    co_return sum + *last;
  };
  int expected = 4;
  for (int i = 0; i < 100; ++i) expected += i % 3 == 0 ? 0 : i;
  CHECK(executor.block_on(body) == expected);
  CHECK(run(body()) == expected);
}
