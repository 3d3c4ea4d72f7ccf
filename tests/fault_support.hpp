// What the fault loops have in common: a record of the sites, the backends, and an executor that is seen to work.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/executor.hpp"
#include "assay/join_handle.hpp"
#include "assay/time.hpp"
#include "assay/yield_now.hpp"
#include "assay_testkit/fault_loop.hpp"
#include "assay_testkit/fault_sites.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::test {

// Records the sites while it lives, if ci/checks/fault-sites wants to know them.
class SiteRecord {
 public:
  SiteRecord() noexcept { testkit::FaultSites::record(); }
  SiteRecord(const SiteRecord&) = delete;
  SiteRecord& operator=(const SiteRecord&) = delete;
  ~SiteRecord() { testkit::FaultSites::stop(); }
};

inline ExecutorOptions with(Backend backend, std::size_t slots = 0) {
  ExecutorOptions options;
  options.backend = backend;
  options.task_slots = slots;
  return options;
}

#define ANY_BACKEND() GENERATE(Backend::epoll, Backend::poll)

inline Async<int> twice(int value) {
  co_await yield_now();
  co_return 2 * value;
}

inline Async<int> awaits_two(Executor& executor) {
  JoinHandle<int> one = executor.spawn(twice(4));
  JoinHandle<int> other = executor.spawn(twice(17));
  co_await sleep(std::chrono::nanoseconds(0));
  const int first = co_await one;
  const int second = co_await other;
  co_return first + second;
}

// After a fault: nothing of the executor is broken, and it runs tasks.
inline void expect_usable(Executor& executor) {
  executor.check_deep();
  testkit::expect(executor.block_on(awaits_two(executor)) == 42, "the executor does not work any more");
  testkit::expect(executor.run_until_stalled() == 0, "the executor is not idle afterwards");
  executor.check_deep();
  testkit::expect(executor.live_tasks() == 0, "tasks are left");
}

inline void check_loop(const testkit::FaultLoop& loop, bool throws = true) {
  CHECK(loop.failures == std::vector<std::string>{});
  CHECK(loop.faults > 0);
  if (throws) CHECK(loop.thrown > 0);
}

}  // namespace assay::test
