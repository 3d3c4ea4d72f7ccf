// Shows the drop of a task's last Waker on another thread: before and after the task's end, before, while and after the
// executor dies. The executor's thread frees what it owns; after its death the last drop does; futures always end on
// the owner's thread.
#include <array>
#include <barrier>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// What a thread's operator delete was called for, while `code` ran on a thread of its own.
template <class Code>
std::uint64_t deletes_elsewhere(Code&& code) {
  std::uint64_t count = 0;
  std::thread([&] {
    const std::uint64_t before = testkit::allocation_counts().deletes;
    code();
    count = testkit::allocation_counts().deletes - before;
  }).join();
  return count;
}

}  // namespace

TEST_CASE("the last Waker is dropped on another thread while the executor lives", "[thread]") {
  const Kind kind = ANY_KIND();
  const bool done = GENERATE(false, true);
  const int copies = GENERATE(0, 1, 5);
  CAPTURE(kind, done, copies);
  Ledger ledger;
  ExecutorOptions options;
  options.on_stranded = OnStranded::ignore;
  Executor executor(options);
  Probe probe(executor, ledger);
  Waker waker;
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      waker = context.waker();
                                      return done ? Poll<int>(Ready(7)) : Poll<int>(Pending);
                                    }));
  handle.detach();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(
      probe.step() ==
      Step{.spawned = 1, .polls = 1, .completed = done ? 1U : 0U, .enqueued = 1, .live = 1, .futures = done ? 0U : 1U});
  const std::uint64_t freed = deletes_elsewhere([&] {
    std::array<Waker, 5> more;
    for (int i = 0; i < copies; ++i) more.at(static_cast<std::size_t>(i)) = waker;
    const Waker last = std::move(waker);
  });
  CHECK(freed == 0);
  CHECK(probe.step() == Step{.live = 1, .futures = done ? 0U : 1U});
  CHECK(executor.run_until_stalled() == 0);
  // Done: freed, by its own thread. Not done: it can never run again, and is reported.
  CHECK(probe.step() == (done ? Step{.freed = 1} : Step{.enqueued = 1, .stranded = 1, .live = 1, .futures = 1}));
}

TEST_CASE("the last Waker is dropped on another thread during the poll that made it", "[thread]") {
  const Kind kind = ANY_KIND();
  const bool wakes = GENERATE(false, true);
  CAPTURE(kind, wakes);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      if (ledger.polls == 1 && !wakes) context.local_waker().wake_by_ref();
                                      std::thread([wakes, waker = context.waker()]() mutable {
                                        if (wakes) waker.wake_by_ref();
                                        const Waker last = std::move(waker);
                                      }).join();
                                      return ledger.polls == 2 ? Poll<int>(Ready(7)) : Poll<int>(Pending);
                                    }));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 2,
                             .completed = 1,
                             .local_wakes = wakes ? 0U : 1U,
                             .remote_wakes = wakes ? 2U : 0U,
                             .enqueued = 2,
                             .live = 1});
  CHECK(handle.try_join() == 7);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("the last Waker is dropped on another thread after the executor's death, and frees what is left",
          "[thread][executor]") {
  const Kind kind = ANY_KIND();
  const int state = GENERATE(0, 1, 2, 3);  // waiting, woken, done, done and joined
  const bool by_wake = GENERATE(false, true);
  CAPTURE(kind, state, by_wake);
  Ledger ledger;
  Waker waker;
  {
    Executor executor;
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        waker = context.waker();
                                        return state >= 2 ? Poll<int>(Ready(7)) : Poll<int>(Pending);
                                      }));
    CHECK(executor.run_until_stalled() == 1);
    if (state == 1) waker.wake_by_ref();
    if (state == 3) CHECK(handle.try_join() == 7);
    if (state != 3) handle.detach();
  }
  CHECK(ledger.leftovers().empty());
  Waker copy = waker;
  CHECK(deletes_elsewhere([&] { const Waker gone = std::move(copy); }) == 0);
  CHECK(deletes_elsewhere([&] {
          if (by_wake) {
            std::move(waker).wake();
          } else {
            const Waker last = std::move(waker);
          }
        }) >= 2);
  CHECK(ledger.polls == 1);
}

TEST_CASE("a Waker elsewhere and a JoinHandle here outlive the executor: the last of both frees",
          "[thread][executor]") {
  const Kind kind = ANY_KIND();
  const bool done = GENERATE(false, true);
  const bool handle_first = GENERATE(true, false);
  CAPTURE(kind, done, handle_first);
  Ledger ledger;
  Waker waker;
  std::optional<JoinHandle<Counted>> handle;
  {
    Executor executor;
    handle = spawn_as(executor, kind, ScriptedFuture<Counted>(ledger, [&](Context& context) -> Poll<Counted> {
                        waker = context.waker();
                        return done ? Poll<Counted>(Ready(Counted(ledger, 1))) : Poll<Counted>(Pending);
                      }));
    CHECK(executor.run_until_stalled() == 1);
  }
  CHECK(ledger.futures_alive() == 0);
  CHECK(ledger.values_alive() == (done ? 1U : 0U));
  const auto drop_handle = [&] {
    handle.reset();
    CHECK(ledger.values_alive() == 0);
  };
  const auto drop_waker = [&] { return deletes_elsewhere([&] { const Waker last = std::move(waker); }); };
  if (handle_first) {
    drop_handle();
    CHECK(drop_waker() >= 2);
  } else {
    CHECK(drop_waker() == 0);
    const std::uint64_t before = testkit::allocation_counts().deletes;
    drop_handle();
    CHECK(testkit::allocation_counts().deletes >= before + 2);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("A09 A16 nexus PR 163: many threads wake, clone and drop while the executor runs and dies",
          "[thread][regression][executor][slow]") {
  const int rounds = static_cast<int>(scaled(200, 10));
  const int how = GENERATE(0, 1, 2);  // the executor lives on, dies at once, or dies in between
  CAPTURE(how);
  constexpr int thread_count = 3;
  Ledger ledger;
  for (int round = 0; round < rounds; ++round) {
    std::optional<Executor> executor(std::in_place, [] {
      ExecutorOptions options;
      options.on_stranded = OnStranded::ignore;
      return options;
    }());
    std::vector<Waker> wakers;
    for (int i = 0; i < 4; ++i) {
      executor->spawn_detached(
          ScriptedFuture<int>(ledger, [&wakers, first = true](Context& context) mutable -> Poll<int> {
            if (std::exchange(first, false)) wakers.push_back(context.waker());
            return Pending;
          }));
    }
    executor->run_until_stalled();
    std::barrier start(thread_count + 1);
    std::vector<std::thread> threads;
    for (int i = 0; i < thread_count; ++i) {
      threads.emplace_back([mine = wakers, &start, i]() mutable {
        start.arrive_and_wait();
        for (std::size_t at = 0; at < mine.size(); ++at) {
          const Waker copy = mine.at(at);
          copy.wake_by_ref();
          if (static_cast<int>(at) % thread_count == i) std::move(mine.at(at)).wake();
        }
      });
    }
    wakers.clear();
    start.arrive_and_wait();
    if (how == 2) {
      executor->run_until_stalled();
      executor->run_until_stalled();
    }
    if (how != 0) executor.reset();
    for (std::thread& thread : threads) thread.join();
    if (executor) {
      executor->run_until_stalled();
      executor->check_deep();
      // Every task was woken at least once, has no waker left, and was found out.
      const ExecutorStats stats = executor->stats();
      if (stats.stranded != 4 || stats.polls < 8 || executor->live_tasks() != 4)
        FAIL("round " << round << " went wrong");
    }
    executor.reset();
    if (!ledger.leftovers().empty()) FAIL(ledger.leftovers());
  }
  CHECK(ledger.futures_made == 4U * static_cast<unsigned>(rounds));
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a message passed by a wake, 10,000 times", "[thread][slow]") {
  const std::uint64_t rounds = scaled(10'000, 200);
  const bool with_executor = GENERATE(true, false);
  CAPTURE(with_executor);
  // A thread and a future answer each other through one plain variable: only the wakes order it.
  struct Shared {
    std::uint64_t ping = 0;
    std::uint64_t pong = 0;
    Waker waker{};
    std::binary_semaphore asked{0};
  } shared;
  std::thread thread([&] {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      shared.asked.acquire();
      if (shared.ping != i) std::abort();
      shared.pong = i;
      std::move(shared.waker).wake();
    }
  });
  Ledger ledger;
  ScriptedFuture<std::uint64_t> script(ledger, [&](Context& context) -> Poll<std::uint64_t> {
    if (shared.ping != shared.pong) std::abort();  // woken without an answer
    if (shared.ping == rounds) return Ready(shared.pong);
    ++shared.ping;
    shared.waker = context.waker();
    shared.asked.release();
    return Pending;
  });
  if (with_executor) {
    Executor executor;
    CHECK(executor.block_on(script) == rounds);
    CHECK(executor.stats().polls == rounds + 1);
    thread.join();
    executor.run_until_stalled();
    CHECK(executor.live_tasks() == 0);
  } else {
    CHECK(run(script) == rounds);
    thread.join();
  }
  CHECK(ledger.polls == rounds + 1);
}
