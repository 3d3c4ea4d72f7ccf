// Shows that a Mutex lets in one task at a time, also across a co_await, in the order of arrival, and opens when a
// holder or a waiter is cancelled.
#include <optional>
#include <string>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("a lock is held across co_await, by one task at a time, in order", "[sync][mutex]") {
  Ledger ledger;
  Mutex<std::vector<int>> mutex(std::in_place);
  Executor executor;
  Probe probe(executor, ledger);
  int inside = 0;
  const auto worker = [&](int id) -> Async<void> {
    auto guard = co_await mutex.lock();
    CHECK(++inside == 1);
    guard->push_back(id);
    co_await yield_now();
    guard->push_back(id);
    --inside;
  };
  TaskGroup group(executor);
  for (int id = 1; id <= 3; ++id) group.spawn(worker, id);
  CHECK(probe.step() == Step{.spawned = 3, .enqueued = 3, .live = 3});
  executor.block_on(group.join_all());
  const auto guard = mutex.try_lock();
  REQUIRE(guard.has_value());
  CHECK(**guard == std::vector<int>{1, 1, 2, 2, 3, 3});
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("a lock opens when its holder is cancelled, or one who waits for it", "[sync][mutex]") {
  Ledger ledger;
  Mutex<int> mutex(0);
  Executor executor;
  Probe probe(executor, ledger);
  const auto hold = [&](int id) -> Async<void> {
    auto guard = co_await mutex.lock();
    *guard = id;
    co_await forever();
  };
  JoinHandle<void> first = executor.spawn(hold, 1);
  JoinHandle<void> second = executor.spawn(hold, 2);
  JoinHandle<void> third = executor.spawn(hold, 3);
  CHECK(executor.run_until_stalled() == 3);
  CHECK(probe.step() == Step{.spawned = 3, .polls = 3, .enqueued = 3, .live = 3});
  CHECK_FALSE(mutex.try_lock().has_value());
  SECTION("the holder") {
    first.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .local_wakes = 1, .enqueued = 1, .live = 3});
    CHECK_FALSE(mutex.try_lock().has_value());  // the next in line has it already
    CHECK(executor.run_until_stalled() == 1);
    second.cancel();
    CHECK(executor.run_until_stalled() == 1);
    third.cancel();
  }
  SECTION("the next in line, before it was woken") {
    second.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 3});
    first.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .local_wakes = 1, .enqueued = 1, .live = 3});
    CHECK(executor.run_until_stalled() == 1);
    third.cancel();
  }
  SECTION("the next in line, after it was woken") {
    first.cancel();
    second.cancel();
    CHECK(probe.step() == Step{.cancelled = 2, .local_wakes = 2, .enqueued = 2, .live = 3});
    CHECK(executor.run_until_stalled() == 1);
    third.cancel();
  }
  const auto guard = mutex.try_lock();
  REQUIRE(guard.has_value());
  CHECK(**guard == 3);
}

TEST_CASE("guards can be moved, and release once", "[sync][mutex]") {
  Mutex<std::string> mutex("x");
  Mutex<std::string> other("y");
  auto one = *mutex.try_lock();
  auto two = *other.try_lock();
  CHECK(*one == "x");
  CHECK_FALSE(mutex.try_lock().has_value());
  one = std::move(two);  // releases the first
  CHECK(*one == "y");
  CHECK(mutex.try_lock().has_value());
  CHECK_FALSE(other.try_lock().has_value());
  auto& same = one;
  one = std::move(same);
  CHECK(one->size() == 1);
  {
    const auto three = std::move(one);
    CHECK_FALSE(other.try_lock().has_value());
  }
  CHECK(other.try_lock().has_value());
}

TEST_CASE("misuse of a Mutex aborts", "[sync][mutex][dies]") {
  const std::string alive = "a Semaphore or Mutex was destroyed while tasks hold it or wait on it";
  check_dies(alive, [] {
    std::optional<Mutex<int>::Guard> guard;
    Mutex<int> mutex(1);
    guard = mutex.try_lock();
  });
  check_dies(alive, [] {
    Hand a;
    std::optional<Mutex<int>> mutex(1);
    auto guard = mutex->try_lock();
    auto lock = mutex->lock();
    static_cast<void>(a.poll(lock));
    guard.reset();  // `lock` has it now
    mutex.reset();
  });
  check_dies(alive, [] {  // it would be polled later
    std::optional<Mutex<int>> mutex(1);
    const auto lock = mutex->lock();
    mutex.reset();
  });
  check_dies("a moved-from Mutex::Guard was used", [] {
    Mutex<int> mutex(1);
    auto guard = *mutex.try_lock();
    const auto moved = std::move(guard);
    ++*guard;
  });
  check_dies("moved after its first poll", [] {
    Hand a;
    Mutex<int> mutex(1);
    auto lock = mutex.lock();
    static_cast<void>(a.poll(lock));
    auto moved = std::move(lock);
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    Mutex<int> mutex(1);
    auto lock = mutex.lock();
    const auto guard = a.poll(lock);
    static_cast<void>(a.poll(lock));
  });
}
