// Shows, for every future that waits: moving it after its first poll aborts if something refers to its place, and works
// if not; moving it before always works; polling it after Ready aborts.
#include <optional>
#include <string>

#include <catch2/catch_template_test_macros.hpp>

#include "leaf_support.hpp"
#include "support/dies.hpp"

using namespace assay;
using namespace assay::test;

TEMPLATE_LIST_TEST_CASE("moved before the first poll", "[leaf]", EveryLeaf) {
  Hand a;
  TestType world;
  auto future = world.make();
  auto moved = std::move(future);
  auto again = std::move(moved);
  CHECK(a.poll(again, world.executor).is_pending());
  world.complete();
  CHECK(a.counting.wakes() >= 1);
  CHECK(a.poll(again, world.executor).is_ready());
}

TEMPLATE_LIST_TEST_CASE("moved after the first poll", "[leaf][dies]", EveryLeaf) {
  if constexpr (TestType::keeps_its_place) {
    check_dies("moved after its first poll", [] {
      Hand a;
      TestType world;
      auto future = world.make();
      static_cast<void>(a.poll(future, world.executor));
      auto moved = std::move(future);
    });
  } else {
    Hand a;
    TestType world;
    auto future = world.make();
    CHECK(a.poll(future, world.executor).is_pending());
    auto moved = std::move(future);
    CHECK(a.seen() == Seen{.kept = 1});
    world.complete();
    CHECK(a.seen().wakes == 1);
    CHECK(a.poll(moved, world.executor).is_ready());
  }
}

TEMPLATE_LIST_TEST_CASE("moved after it was woken", "[leaf][dies]", EveryLeaf) {
  if constexpr (TestType::keeps_its_place) {
    check_dies("moved after its first poll", [] {
      Hand a;
      TestType world;
      auto future = world.make();
      static_cast<void>(a.poll(future, world.executor));
      world.complete();
      auto moved = std::move(future);
    });
  }
}

TEMPLATE_LIST_TEST_CASE("polled again after Ready", "[leaf][dies]", EveryLeaf) {
  check_dies(TestType::again, [] {
    Hand a;
    TestType world;
    auto future = world.make();
    static_cast<void>(a.poll(future, world.executor));
    world.complete();
    if (a.poll(future, world.executor).is_pending()) return;
    static_cast<void>(a.poll(future, world.executor));
  });
}

TEST_CASE("futures that need an executor say so", "[leaf][dies]") {
  check_dies("sleep() was polled outside an Executor", [] { run(sleep(Duration(1))); });
  check_dies("a timer was polled outside an Executor", [] { run(sleep_until(Instant())); });
  check_dies("an FdEvent was polled outside an Executor", [] { static_cast<void>(run(FdEvent(0, Interest::read))); });
  check_dies("current_executor() was polled outside an Executor", [] { static_cast<void>(run(current_executor())); });
  check_dies("interval() was polled outside an Executor", [] {
    Interval each(Duration(1));
    static_cast<void>(run(each.tick()));
  });
  check_dies("sleep() was polled outside an Executor", [] { static_cast<void>(run(timeout(Duration(1), forever()))); });
}

TEST_CASE("small futures about the task itself", "[leaf]") {
  Hand a, b;
  LeafWorld world;
  auto yielding = yield_now();
  CHECK(a.poll(yielding).is_pending());
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(a.poll(yielding).is_ready());
  auto never = forever<int>();
  CHECK(a.poll(never).is_pending());
  CHECK(a.poll(never).is_pending());
  CHECK(a.seen() == Seen{.kept = 1});
  CHECK(b.poll(never).is_pending());
  CHECK(a.seen() == Seen{});
  CHECK(b.seen() == Seen{.kept = 1});
  auto who = current_executor();
  CHECK(&a.poll(who, world.executor).take() == &world.executor);
}
