// No malloc per timer armed, fired or cancelled, nor per wait for an fd, once the pools are warm.
#include <poll.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "reactor_files.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Duration;
using assay::Executor;
using assay::FdEvent;
using assay::Instant;
using assay::Interest;
using assay::Interval;
using assay::JoinHandle;
using assay::VirtualClock;
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::allocation_counts;
using assay::testkit::AllocationCounts;

namespace {

// Runs `round` until it is warm, then a hundred times more: how many allocations were those?
template <class Round>
std::uint64_t allocations_of(Round&& round) {
  for (int i = 0; i < 100; ++i) round();
  const AllocationCounts before = allocation_counts();
  for (int i = 0; i < 100; ++i) round();
  const AllocationCounts after = allocation_counts();
  CHECK(after.deletes - before.deletes == after.news - before.news);
  return after.news - before.news;
}

Async<void> sleep_twice() {
  co_await assay::sleep(5ns);
  co_await assay::sleep_until(Instant(Duration(0)));
}

Async<bool> in_time(Duration limit) {
  auto limited = assay::timeout(limit, assay::sleep(10ns));
  const auto value = co_await limited;
  co_return value.has_value();
}

}  // namespace

TEST_CASE("timers: nothing is allocated to arm, fire and cancel them", "[time][allocation]") {
  VirtualClock clock;
  Executor executor({.clock = &clock});
  CHECK(allocations_of([&] { executor.block_on(assay::sleep(1ns)); }) == 0);
  CHECK(allocations_of([&] { executor.block_on(sleep_twice()); }) == 0);
  CHECK(allocations_of([&] { executor.block_on(in_time(20ns)); }) == 0);
  CHECK(allocations_of([&] { executor.block_on(in_time(5ns)); }) == 0);
  CHECK(allocations_of([&] {
          JoinHandle<void> cancelled = executor.spawn(assay::sleep(1h));
          executor.run_until_stalled();
        }) == 0);
  Interval interval = assay::interval(1us);
  CHECK(allocations_of([&] { executor.block_on(interval.tick()); }) == 0);
  CHECK(state_of(executor).timers == 0);
  CHECK(state_of(executor).tasks == 0);
}

TEST_CASE("fds: nothing is allocated to wait, to be woken, and to cancel", "[reactor][allocation]") {
  Pipe pipe;
  Executor executor;
  CHECK(allocations_of([&] {
          JoinHandle<assay::Readiness> cancelled = executor.spawn(FdEvent(pipe.reader(), Interest::read));
          executor.run_until_stalled();
        }) == 0);
  CHECK(allocations_of([&] {
          JoinHandle<assay::Readiness> reader = executor.spawn(FdEvent(pipe.reader(), Interest::read));
          executor.run_until_stalled();
          pipe.write("x");
          executor.block_on(reader);
          CHECK(pipe.read() == "x");
        }) == 0);
  CHECK(allocations_of([&] { executor.block_on(FdEvent(pipe.writer(), Interest::write)); }) == 0);
  CHECK(state_of(executor).fds == 0);
  CHECK(state_of(executor).tasks == 0);
}
