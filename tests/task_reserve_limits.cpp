// Shows room that no machine has: reserve and the constructor's task_slots throw std::bad_alloc before they ask the
// system for the first part of it, and leave the executor as it was. A size of 0 is as good as any small one.
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ScriptedFuture<int> ready(Ledger& ledger) {
  return ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); });
}

struct Room {
  std::size_t count;
  std::size_t bytes;
};

}  // namespace

TEST_CASE("room that no machine has is refused at once, and changes nothing", "[capacity][throw]") {
  constexpr std::size_t all = SIZE_MAX;
  const Room room =
      GENERATE(Room{1, all}, Room{3, all}, Room{all, all}, Room{1, all / 2 + 1}, Room{all, 0}, Room{all, 1},
               Room{all, 256}, Room{all, 4096}, Room{all, 5000}, Room{all / 256 + 2, 256}, Room{all / 5000 + 2, 5000});
  const bool growth = GENERATE(false, true);
  CAPTURE(room.count, room.bytes, growth);
  Ledger ledger;
  ExecutorOptions options;
  options.task_slots = 1;
  options.task_growth = growth;
  Executor executor(options);
  Probe probe(executor, ledger);
  std::vector<JoinHandle<int>> handles;
  if (!growth) {
    while (auto handle = executor.try_spawn(ready(ledger))) handles.push_back(std::move(*handle));
  } else {
    handles.push_back(executor.spawn(ready(ledger)));
  }
  const std::size_t count = handles.size();
  CHECK(probe.step() == Step{.spawned = count, .enqueued = count, .live = count, .futures = count});

  const testkit::AllocationCounts before = testkit::allocation_counts();
  bool refused = false;
  try {
    executor.reserve(room.count, room.bytes);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  const testkit::AllocationCounts after = testkit::allocation_counts();
  CHECK(refused);
  CHECK(after.news - before.news == after.deletes - before.deletes);
  CHECK(probe.step() == Step{.live = count, .futures = count});
  CHECK(executor.tasks().size() == count);
  if (!growth) {
    CHECK_FALSE(executor.try_spawn(ready(ledger)).has_value());  // no room has come of it
    CHECK(probe.step() == Step{.live = count, .futures = count});
  }

  CHECK(executor.run_until_stalled() == count);
  for (JoinHandle<int>& handle : handles) CHECK(handle.try_join() == 1);
  CHECK(probe.step() == Step{.polls = count, .completed = count, .freed = count});
  executor.reserve(2, 300);
  CHECK(executor.block_on(ready(ledger)) == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
}

TEST_CASE("task_slots that no machine has are refused by the constructor", "[capacity][throw]") {
  ExecutorOptions options;
  options.task_slots = SIZE_MAX;
  CHECK_THROWS_AS(Executor(options), std::bad_alloc);
  options.task_slots = 1;
  options.task_slot_bytes = SIZE_MAX;
  CHECK_THROWS_AS(Executor(options), std::bad_alloc);
}

TEST_CASE("room for tasks of no size is room", "[capacity]") {
  Ledger ledger;
  ExecutorOptions options;
  options.task_slots = 1;
  options.task_slot_bytes = 0;
  Executor executor(options);
  Probe probe(executor, ledger);
  executor.reserve(0, 0);
  executor.reserve(100, 0);
  CHECK(probe.step() == Step{});
  CHECK(executor.block_on(ready(ledger)) == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .freed = 1, .enqueued = 1});
}
