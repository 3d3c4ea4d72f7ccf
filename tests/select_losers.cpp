// Shows that select, fair and biased, ends with the first future that is Ready, destroys all others at that moment,
// polls none behind the winner, and lets an exception through; by hand, and for tasks, channels and locks that lose.
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <catch2/generators/catch_generators_range.hpp>

#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/dies.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct Thrown {};

enum class Act { ready, wait, fail };

ScriptedFuture<Counted> acting(Ledger& ledger, std::vector<int>& polled, int id, const Act& act) {
  return ScriptedFuture<Counted>(ledger, [&ledger, &polled, id, &act](Context&) -> Poll<Counted> {
    polled.push_back(id);
    if (act == Act::fail) throw Thrown();
    if (act == Act::wait) return Pending;
    return Ready(Counted(ledger, id));
  });
}

}  // namespace

TEST_CASE("a biased select takes the first in the list, every time", "[select]") {
  const auto any = [] { return GENERATE(Act::ready, Act::wait); };
  const Act acts[] = {any(), any(), any()};
  Ledger ledger;
  {
    Hand a;
    std::vector<int> polled;
    auto three = select_biased(acting(ledger, polled, 0, acts[0]), acting(ledger, polled, 1, acts[1]),
                               acting(ledger, polled, 2, acts[2]));
    std::size_t winner = 0;
    while (winner < 3 && acts[winner] != Act::ready) ++winner;
    auto result = a.poll(three);
    CHECK(result.is_ready() == (winner < 3));
    std::vector<int> expected;
    for (int id = 0; id <= static_cast<int>(std::min<std::size_t>(winner, 2)); ++id) expected.push_back(id);
    CHECK(polled == expected);
    if (result.is_ready()) {
      CHECK(ledger.futures_alive() == 0);  // while the select itself lives on
      const auto first = std::move(result).take();
      CHECK(first.index() == winner);
      const auto value = std::visit([](const Counted& counted) { return counted.value(); }, first);
      CHECK(value == static_cast<int>(winner));
    } else {
      CHECK(ledger.futures_alive() == 3);
      polled.clear();
      CHECK(a.poll(three).is_pending());
      CHECK(polled == std::vector<int>{0, 1, 2});  // no turns
    }
    CHECK(a.counting.clones() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("the losers are destroyed before the awaiting coroutine goes on", "[select]") {
  Ledger ledger;
  {
    Executor executor;
    Probe probe(executor, ledger);
    Notify notify;
    std::vector<std::string> log;
    const auto loser = [&](const char* name) {
      return ScriptedFuture<int>(
          ledger, [](Context&) -> Poll<int> { return Pending; }, [&log, name] { log.push_back(name); });
    };
    const bool biased = GENERATE(false, true);
    const auto body = [&]() -> Async<std::size_t> {
      std::size_t index = 9;
      if (biased) {
        auto three = select_biased(loser("first"), notify.notified(), loser("third"));
        const auto won = co_await three;
        index = won.index();
      } else {
        auto three = select(loser("first"), notify.notified(), loser("third"));
        const auto won = co_await three;
        index = won.index();
      }
      log.push_back("goes on");
      co_return index;
    };
    JoinHandle<std::size_t> task = executor.spawn(body);
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 2});
    notify.notify_one();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.polls = 1, .completed = 1, .local_wakes = 1, .enqueued = 1, .live = 1});
    CHECK(task.try_join() == 1U);
    CHECK(log.size() == 3);
    CHECK(log.back() == "goes on");
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("what a future throws leaves the select", "[select]") {
  Ledger ledger;
  {
    Hand a;
    std::vector<int> polled;
    const Act acts[] = {Act::wait, Act::fail, Act::ready};
    {
      auto three = select_biased(acting(ledger, polled, 0, acts[0]), acting(ledger, polled, 1, acts[1]),
                                 acting(ledger, polled, 2, acts[2]));
      CHECK_THROWS_AS(static_cast<void>(a.poll(three)), Thrown);
      CHECK(polled == std::vector<int>{0, 1});
      CHECK(ledger.values_made == 0);
      CHECK(ledger.futures_alive() == 0);  // the others with it
    }
    check_dies("polled again after it was Ready", [] {
      Hand b;
      Ledger other;
      std::vector<int> none;
      const Act act = Act::fail;
      auto one = select(acting(other, none, 0, act));
      try {
        static_cast<void>(b.poll(one));
      } catch (const Thrown&) {
        static_cast<void>(b.poll(one));
      }
    });
    // In a coroutine, which goes on.
    Executor executor;
    polled.clear();
    const auto body = [&]() -> Async<bool> {
      bool caught = false;
      try {
        auto two = select(acting(ledger, polled, 0, acts[0]), acting(ledger, polled, 1, acts[1]));
        static_cast<void>(co_await two);
      } catch (const Thrown&) {
        caught = true;
      }
      co_await yield_now();
      co_return caught;
    };
    CHECK(executor.block_on(body));
    CHECK(executor.live_tasks() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("select of values, void, references and what can only be moved", "[select]") {
  Hand a;
  Ledger ledger;
  int target = 5;
  const auto reference = [&] {
    return ScriptedFuture<int&>(ledger, [&](Context&) -> Poll<int&> { return Ready(std::ref(target)); });
  };
  const auto pointer = [&] {
    return ScriptedFuture<std::unique_ptr<int>>(
        ledger, [](Context&) -> Poll<std::unique_ptr<int>> { return Ready(std::make_unique<int>(6)); });
  };
  const auto nothing = [&] { return ScriptedFuture<void>(ledger, [](Context&) -> Poll<void> { return Ready(); }); };
  auto first = select_biased(reference(), nothing());
  static_assert(std::is_same_v<decltype(first)::Output, std::variant<std::reference_wrapper<int>, Unit>>);
  CHECK(&std::get<0>(a.poll(first).take()).get() == &target);
  auto second = select_biased(nothing(), reference());
  CHECK(std::holds_alternative<Unit>(a.poll(second).take()));
  auto third = select_biased(pointer(), nothing());
  CHECK(*std::get<0>(a.poll(third).take()) == 6);
  auto one = select(pointer());
  CHECK(*std::get<0>(a.poll(one).take()) == 6);
}

TEST_CASE("a task that loses is cancelled, and the winner is polled no more for it", "[select]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  Notify notify;
  const auto body = [&]() -> Async<int> {
    JoinHandle<int> slow = executor.spawn(forever<int>());
    auto both = select(std::move(slow), notify.notified());
    const auto won = co_await both;
    const auto index = static_cast<int>(won.index());
    co_await notify.notified();
    co_return index;
  };
  JoinHandle<int> task = executor.spawn(body);
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2});
  notify.notify_one();
  // One poll: the end of the loser wakes nobody.
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .cancelled = 1, .freed = 1, .local_wakes = 1, .enqueued = 1, .live = 1});
  notify.notify_one();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.try_join() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .local_wakes = 1, .enqueued = 1});
}

TEST_CASE("what was given to a loser in the same moment is not lost", "[select]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  Notify stop;
  const auto until_stopped = [&](auto make) {
    return [&stop, make]() -> Async<bool> {
      auto both = select_biased(stop.notified(), make());
      const auto won = co_await both;
      const bool stopped = won.index() == 0;
      co_return stopped;
    };
  };
  SECTION("an item of a channel") {
    auto [sender, receiver] = channel<int>(1);
    auto& rx = receiver;
    JoinHandle<bool> task = executor.spawn(until_stopped([&rx] { return rx.recv(); }));
    CHECK(executor.run_until_stalled() == 1);
    CHECK_FALSE(sender.try_send(6).has_value());
    stop.notify_one();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == true);
    CHECK(receiver.try_recv() == 6);
  }
  SECTION("permits") {
    Semaphore semaphore(0);
    JoinHandle<bool> task = executor.spawn(until_stopped([&semaphore] { return semaphore.acquire(2); }));
    CHECK(executor.run_until_stalled() == 1);
    semaphore.add(2);
    stop.notify_one();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == true);
    CHECK(semaphore.available() == 2);
  }
  SECTION("a notification") {
    Hand a;
    Notify notify;
    JoinHandle<bool> task = executor.spawn(until_stopped([&notify] { return notify.notified(); }));
    CHECK(executor.run_until_stalled() == 1);
    notify.notify_one();
    stop.notify_one();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == true);
    auto next = notify.notified();
    CHECK(a.is_ready(next));
  }
  SECTION("a lock") {
    Mutex<int> mutex(6);
    auto held = mutex.try_lock();
    JoinHandle<bool> task = executor.spawn(until_stopped([&mutex] { return mutex.lock(); }));
    CHECK(executor.run_until_stalled() == 1);
    held.reset();
    CHECK_FALSE(mutex.try_lock().has_value());
    stop.notify_one();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == true);
    CHECK(mutex.try_lock().has_value());
  }
  CHECK(executor.live_tasks() == 0);
}
