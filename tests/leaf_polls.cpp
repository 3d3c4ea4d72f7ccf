// Shows, for every future that waits: extra polls change nothing and copy no waker (BUGS A13, B30); the waker of the
// latest poll is woken and no other (B24), exactly once; a future that is dropped while it waits, or Ready, keeps no
// waker (A30, F10).
#include <optional>

#include <catch2/catch_template_test_macros.hpp>

#include "leaf_support.hpp"

using namespace assay;
using namespace assay::test;

TEMPLATE_LIST_TEST_CASE("extra polls are harmless", "[leaf]", EveryLeaf) {
  Hand a;
  TestType world;
  auto future = world.make();
  CHECK(a.poll(future, world.executor).is_pending());
  const std::uint64_t clones = a.counting.clones();
  CHECK(clones >= 1);
  for (int extra = 0; extra < 5; ++extra) {
    CHECK(a.poll(future, world.executor).is_pending());
    world.executor.check_deep();
  }
  CHECK(a.counting.clones() == clones);
  CHECK(a.counting.wakes() == 0);
  world.complete();
  CHECK(a.counting.wakes() >= 1);
  const std::uint64_t wakes = a.counting.wakes();
  CHECK(a.poll(future, world.executor).is_ready());
  CHECK(a.counting.wakes() == wakes);
  CHECK(a.counting.clones() == clones);
}

TEMPLATE_LIST_TEST_CASE("the waker of the latest poll is woken, and no other", "[leaf]", EveryLeaf) {
  Hand a, b, c;
  TestType world;
  {
    auto future = world.make();
    CHECK(a.poll(future, world.executor).is_pending());
    CHECK(b.poll(future, world.executor).is_pending());
    CHECK(a.seen() == Seen{});
    const std::uint64_t kept = b.kept();
    CHECK(kept >= 1);
    CHECK(c.poll(future, world.executor).is_pending());
    CHECK(b.seen() == Seen{});
    CHECK(b.poll(future, world.executor).is_pending());
    CHECK(b.seen() == Seen{.kept = kept});
    world.complete();
    CHECK(a.seen() == Seen{});
    CHECK(b.seen().wakes >= 1);
    CHECK(c.seen() == Seen{});
    // Polled with yet another one, it is Ready all the same.
    CHECK(c.poll(future, world.executor).is_ready());
  }
  CHECK(a.kept() == 0);
  CHECK(b.kept() == 0);
  CHECK(c.kept() == 0);
}

TEMPLATE_LIST_TEST_CASE("a future that is dropped keeps no waker", "[leaf]", EveryLeaf) {
  Hand a;
  TestType world;
  {
    auto fresh = world.make();
    static_cast<void>(fresh);
  }
  CHECK(a.counting.clones() == 0);
  {
    auto future = world.make();
    CHECK(a.poll(future, world.executor).is_pending());
    CHECK(a.kept() >= 1);
  }
  CHECK(a.seen() == Seen{});
  world.executor.check_deep();
  CHECK(world.executor.timers().empty());
  CHECK(world.executor.reactor().size() == 0);
}

TEMPLATE_LIST_TEST_CASE("a future that is woken is Ready, whoever polls it and however late", "[leaf]", EveryLeaf) {
  Hand a;
  TestType world;
  auto future = world.make();
  CHECK(a.poll(future, world.executor).is_pending());
  world.complete();
  world.turn();
  world.turn();
  CHECK(a.poll(future, world.executor).is_ready());
  CHECK(world.executor.timers().empty());
}
