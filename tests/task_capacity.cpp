// Shows the memory of tasks with growth off: try_spawn says full and leaves its arguments alone, spawn throws
// ExecutorFull, reserve makes room, and a freed slot is used again; with growth on, memory follows the peak.
#include <array>
#include <memory>
#include <vector>

#include <catch2/matchers/catch_matchers.hpp>

#include "assay/audited/frame_pool.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ExecutorOptions fixed(std::size_t slots, std::size_t bytes = 256) {
  ExecutorOptions options;
  options.task_slots = slots;
  options.task_slot_bytes = bytes;
  options.task_growth = false;
  return options;
}

ScriptedFuture<int> ready(Ledger& ledger) {
  return ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); });
}

}  // namespace

TEST_CASE("try_spawn says full, and spawn throws", "[capacity]") {
  const bool by_cancel = GENERATE(false, true);
  CAPTURE(by_cancel);
  Ledger ledger;
  Executor executor(fixed(1));
  Probe probe(executor, ledger);
  std::vector<JoinHandle<int>> handles;
  for (;;) {
    auto handle = executor.try_spawn(ready(ledger));
    if (!handle) break;
    handles.push_back(std::move(*handle));
  }
  const std::size_t slots = handles.size();
  REQUIRE(slots == 1);
  CHECK(probe.step() == Step{.spawned = slots, .enqueued = slots, .live = slots, .futures = slots});

  ScriptedFuture<int> spare = ready(ledger);
  CHECK_FALSE(executor.try_spawn("late", std::move(spare)).has_value());
  CHECK(ledger.futures_alive() == slots + 1);  // untouched
  CHECK_THROWS_AS(executor.spawn(ready(ledger)), ExecutorFull);
  CHECK_THROWS_WITH(executor.spawn(ready(ledger)), "assay: the executor is full (ExecutorOptions::task_slots)");
  CHECK_THROWS_AS(executor.spawn_detached(ready(ledger)), ExecutorFull);
  CHECK_THROWS_AS(executor.block_on(ready(ledger)), ExecutorFull);
  CHECK(probe.step() == Step{.live = slots, .futures = slots + 1});

  if (by_cancel) {
    handles.pop_back();
    CHECK(executor.run_until_stalled() == slots - 1);
    CHECK(
        probe.step() ==
        Step{.polls = slots - 1, .completed = slots - 1, .cancelled = 1, .freed = 1, .live = slots - 1, .futures = 1});
  } else {
    CHECK(executor.run_until_stalled() == slots);
    CHECK(handles.back().try_join() == 1);
    handles.pop_back();
    CHECK(probe.step() == Step{.polls = slots, .completed = slots, .freed = 1, .live = slots - 1, .futures = 1});
  }
  auto again = executor.try_spawn("late", std::move(spare));
  REQUIRE(again.has_value());
  CHECK(again->name() == "late");
  CHECK(executor.run_until_stalled() == 1);
  CHECK(again->try_join() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1, .live = slots - 1});
}

TEST_CASE("no slot at all", "[capacity]") {
  Ledger ledger;
  Executor executor(fixed(0));
  Probe probe(executor, ledger);
  CHECK_FALSE(executor.try_spawn(ready(ledger)).has_value());
  CHECK_THROWS_AS(executor.block_on(ready(ledger)), ExecutorFull);
  CHECK(probe.step() == Step{});
  executor.reserve(1, 256);
  CHECK(executor.block_on(ready(ledger)) == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
}

TEST_CASE("reserve makes room for so many tasks of that size", "[capacity]") {
  const std::size_t count = GENERATE(std::size_t{1}, std::size_t{300}, std::size_t{1000});
  const std::size_t bytes = GENERATE(std::size_t{200}, std::size_t{1500}, std::size_t{100000});
  CAPTURE(count, bytes);
  if (bytes == 100000 && count > 1) return;
  Ledger ledger;
  Executor executor(fixed(0));
  Probe probe(executor, ledger);
  executor.reserve(count, bytes);
  std::vector<JoinHandle<int>> handles;
  for (std::size_t i = 0; i < count; ++i) {
    auto handle = executor.try_spawn(ready(ledger));
    REQUIRE(handle.has_value());
    handles.push_back(std::move(*handle));
  }
  CHECK(probe.step() == Step{.spawned = count, .enqueued = count, .live = count, .futures = count});
  CHECK(executor.run_until_stalled() == count);
  handles.clear();
  CHECK(probe.step() == Step{.polls = count, .completed = count, .freed = count});
}

TEST_CASE("a small task uses a large slot when the small ones are gone, and never the reverse", "[capacity]") {
  struct Large {
    using Output = int;
    Poll<int> poll(Context&) { return Ready(static_cast<int>(bytes.size())); }
    std::array<char, 3000> bytes{};
  };
  Ledger ledger;
  Executor executor(fixed(2, 4096));
  auto small = executor.try_spawn(ready(ledger));
  CHECK(small.has_value());
  auto large = executor.try_spawn(Large());
  CHECK(large.has_value());
  Executor tight(fixed(1, 256));
  CHECK_FALSE(tight.try_spawn(Large()).has_value());
  auto fits = tight.try_spawn(ready(ledger));
  CHECK(fits.has_value());
  CHECK(executor.run_until_stalled() == 2);
  CHECK(tight.run_until_stalled() == 1);
  CHECK(large->try_join() == 3000);
  CHECK(small->try_join() == 1);
  CHECK(fits->try_join() == 1);
  CHECK(executor.live_tasks() == 0);
  executor.check_deep();
  tight.check_deep();
}

TEST_CASE("over-aligned and very large futures", "[capacity]") {
  struct alignas(64) Aligned {
    using Output = bool;
    Poll<bool> poll(Context&) { return Ready(reinterpret_cast<std::uintptr_t>(this) % 64 == 0); }
    std::array<char, 100> bytes{};
  };
  struct Huge {
    using Output = std::size_t;
    Poll<std::size_t> poll(Context&) {
      bytes.back() = 1;
      return Ready(bytes.size());
    }
    std::array<char, 200000> bytes{};
  };
  Executor executor;
  for (int round = 0; round < 3; ++round) {
    std::vector<JoinHandle<bool>> aligned;
    for (int i = 0; i < 5; ++i) aligned.push_back(executor.spawn(Aligned()));
    JoinHandle<std::size_t> first = executor.spawn(Huge());
    JoinHandle<std::size_t> second = executor.spawn(Huge());
    CHECK(executor.run_until_stalled() == 7);
    for (JoinHandle<bool>& handle : aligned) CHECK(handle.try_join() == true);
    CHECK(first.try_join() == 200000);
    CHECK(second.try_join() == 200000);
    CHECK(executor.live_tasks() == 0);
    executor.check_deep();
  }
}

TEST_CASE("an allocation that fails in spawn, in each place, leaves the executor as it was", "[capacity][throw]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::uint64_t failures = 0;
  for (std::uint64_t n = 0;; ++n) {
    ScriptedFuture<int> script = ready(ledger);
    audited::trim_frame_pool();
    testkit::fail_allocation_after(n);
    JoinHandle<int> handle;
    bool threw = false;
    try {
      handle = spawn_as(executor, kind, std::move(script));
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    testkit::stop_failing();
    if (!threw) {
      CHECK(executor.run_until_stalled() == 1);
      CHECK(handle.try_join() == 1);
      CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
      break;
    }
    ++failures;
    REQUIRE(n < 20);
    CHECK(probe.step().live == 0);
    CHECK(executor.stats().spawned == 0);
    CHECK(executor.run_until_stalled() == 0);
  }
  CHECK(failures >= 1);
  CHECK(ledger.leftovers().empty());
}
