// Shows a timeout around select, join and each primitive, and a sleep as one of the futures of a select, on a virtual
// clock: what is Ready at the deadline wins over the clock, losers leave no timer and no place in line behind.
#include <chrono>
#include <optional>
#include <tuple>
#include <variant>

#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;
using std::chrono::seconds;

namespace {

Async<int> after(Duration delay, int value) {
  co_await sleep(delay);
  co_return value;
}

}  // namespace

TEST_CASE("a timeout around join and select", "[select][join][timeout]") {
  Ledger ledger;
  VirtualClock clock;
  Executor executor(ExecutorOptions{.clock = &clock});
  Probe probe(executor, ledger);
  SECTION("a join in time") {
    const auto body = []() -> Async<std::optional<std::tuple<int, int>>> {
      auto both = join(after(seconds(1), 1), after(seconds(2), 2));
      auto limited = timeout(seconds(3), std::move(both));
      co_return co_await limited;
    };
    CHECK(executor.block_on(body) == std::tuple(1, 2));
    CHECK(clock.now() == Instant(seconds(2)));
  }
  SECTION("a join that is too late") {
    const auto body = []() -> Async<std::optional<std::tuple<int, int>>> {
      auto both = join(after(seconds(1), 1), after(seconds(4), 2));
      auto limited = timeout(seconds(3), std::move(both));
      co_return co_await limited;
    };
    CHECK(executor.block_on(body) == std::nullopt);
    CHECK(clock.now() == Instant(seconds(3)));
  }
  SECTION("at the very deadline, the future wins") {
    const auto body = []() -> Async<std::optional<int>> {
      auto limited = timeout(seconds(3), after(seconds(3), 7));
      co_return co_await limited;
    };
    CHECK(executor.block_on(body) == 7);
    CHECK(clock.now() == Instant(seconds(3)));
  }
  SECTION("a select in time") {
    const auto body = []() -> Async<std::size_t> {
      auto both = select(after(seconds(5), 1), after(seconds(2), 2));
      auto limited = timeout(seconds(3), std::move(both));
      const auto won = co_await limited;
      co_return won ? won->index() : 9;
    };
    CHECK(executor.block_on(body) == 1);
    CHECK(clock.now() == Instant(seconds(2)));
  }
  SECTION("a select that is too late") {
    const auto body = []() -> Async<std::size_t> {
      auto both = select(after(seconds(5), 1), after(seconds(4), 2));
      auto limited = timeout(seconds(3), std::move(both));
      const auto won = co_await limited;
      co_return won ? won->index() : 9;
    };
    CHECK(executor.block_on(body) == 9);
    CHECK(clock.now() == Instant(seconds(3)));
  }
  SECTION("timeouts in a join in a select in a timeout") {
    const auto body = []() -> Async<std::size_t> {
      auto inner = join(timeout(seconds(1), forever<int>()), timeout(seconds(2), after(seconds(1), 1)));
      auto either = select(std::move(inner), forever());
      auto limited = timeout(seconds(3), std::move(either));
      const auto won = co_await limited;
      REQUIRE(won.has_value());
      const auto& [first, second] = std::get<0>(*won);
      CHECK(first == std::nullopt);
      CHECK(second == 1);
      co_return won->index();
    };
    CHECK(executor.block_on(body) == 0);
    CHECK(clock.now() == Instant(seconds(1)));
  }
  const Step end = probe.step();
  CHECK(end.spawned == 1);
  CHECK(end.completed == 1);
  CHECK(end.live == 0);
  CHECK(executor.timers().empty());
}

TEST_CASE("what is too late leaves nothing behind", "[select][timeout]") {
  Ledger ledger;
  VirtualClock clock(Instant(Duration(0)), false);
  Notify notify;
  Semaphore semaphore(1);
  Mutex<int> mutex(5);
  auto [sender, receiver] = channel<int>(1);
  auto& rx = receiver;
  Executor executor(ExecutorOptions{.clock = &clock});
  Probe probe(executor, ledger);
  const std::optional<Semaphore::Permit> permit = semaphore.try_acquire();
  const std::optional<Mutex<int>::Guard> guard = mutex.try_lock();
  const auto limited = [](auto make) {
    return [make]() -> Async<bool> {
      auto future = timeout(seconds(1), make());
      const auto value = co_await future;
      const bool in_time = value.has_value();
      co_return in_time;
    };
  };
  JoinHandle<bool> tasks[] = {executor.spawn(limited([&] { return notify.notified(); })),
                              executor.spawn(limited([&] { return semaphore.acquire(); })),
                              executor.spawn(limited([&] { return mutex.lock(); })),
                              executor.spawn(limited([&rx] { return rx.recv(); }))};
  CHECK(executor.run_until_stalled() == 4);
  CHECK(probe.step() == Step{.spawned = 4, .polls = 4, .enqueued = 4, .live = 4});
  CHECK(executor.timers().size() == 4);
  clock.advance(seconds(1) - Duration(1));
  CHECK(executor.run_until_stalled() == 0);
  clock.advance(Duration(1));
  CHECK(executor.run_until_stalled() == 4);
  CHECK(probe.step() == Step{.polls = 4, .completed = 4, .local_wakes = 4, .enqueued = 4, .live = 4});
  for (JoinHandle<bool>& task : tasks) CHECK(task.try_join() == false);
  CHECK(executor.timers().empty());
  // Whoever comes now is not behind anybody, and nobody is woken.
  notify.notify_one();
  CHECK_FALSE(sender.try_send(6).has_value());
  semaphore.add(1);
  CHECK(semaphore.try_acquire().has_value());
  CHECK(receiver.try_recv() == 6);
  CHECK(probe.step() == Step{.freed = 4});
}
