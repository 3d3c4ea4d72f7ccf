// Shows an executor in a thread_local, destroyed at the thread's exit, before and after the runtime's own thread-local
// (the frame cache) goes; tasks, frames, wakers and handles in other thread-locals, in both orders; wakes from their
// destructors.
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// What happens to the thread, told after it has gone.
struct Told {
  std::atomic<int> locals{0};
  std::atomic<std::uint64_t> polls{0};
  std::thread::id destroyed_on{};
};

Async<void> waits(Told& told, bool yields_first) {
  const OnExit local([&told] {
    ++told.locals;
    told.destroyed_on = std::this_thread::get_id();
  });
  if (yields_first) co_await yield_now();
  co_await Forever<void>();
}

// In a thread_local: an executor, and handles and wakers that may outlive it.
struct Home {
  std::optional<Executor> executor{};
  ~Home() {
    if (executor) executor->check_deep();
  }
};
struct Survivors {
  std::optional<JoinHandle<void>> handle{};
  std::optional<Waker> waker{};
  std::optional<LocalWaker> local{};
  std::optional<Async<int>> fresh{};
  ~Survivors() {
    if (waker) waker->wake_by_ref();
    if (local) std::move(*local).wake();
    if (handle && !handle->is_empty() && handle->is_finished() && !handle->is_cancelled()) std::abort();
  }
};

thread_local Home home;
thread_local Survivors survivors;

}  // namespace

TEST_CASE("E01 E02 E04 an executor in a thread_local is destroyed at thread exit", "[executor][thread][regression]") {
  const bool survivors_go_first = GENERATE(true, false);  // thread-locals go in the reverse order of their first use
  const bool frames_first = GENERATE(true, false);        // the frame cache is made before all of them, or last
  const bool yields_first = GENERATE(true, false);
  CAPTURE(survivors_go_first, frames_first, yields_first);
  Told told;
  Waker outside;
  std::thread thread([&] {
    if (frames_first) {
      auto nothing = []() -> Async<void> { co_return; };
      run(nothing());
      CHECK(audited::check_frame_pool() <= 1);
    }
    if (survivors_go_first) {
      home.executor.emplace();
      survivors.handle.reset();
    } else {
      survivors.handle.reset();
      home.executor.emplace();
    }
    Executor& executor = *home.executor;
    survivors.handle = executor.spawn(waits(told, yields_first));
    executor.spawn_detached(waits(told, yields_first));
    JoinHandle<void> keeper = executor.spawn(
        [](Told& seen, Waker& kept) -> Async<void> {
          struct Keep {
            using Output = void;
            Poll<void> poll(Context& context) {
              ++told.polls;
              kept = context.waker();
              survivors.waker = context.waker();
              survivors.local = context.local_waker();
              return Pending;
            }
            Told& told;
            Waker& kept;
          } keep{seen, kept};
          co_await keep;
        },
        std::ref(told), std::ref(outside));
    keeper.detach();
    executor.run_until_stalled();
    executor.check_deep();
    auto unpolled = []() -> Async<int> { co_return 1; };
    survivors.fresh = unpolled();
    CHECK(told.locals == 0);
  });
  const std::thread::id id = thread.get_id();
  thread.join();
  CHECK(told.locals == 2);
  CHECK(told.destroyed_on == id);
  CHECK(told.polls == 1);
  // The last waker of the executor is here, on another thread, after all of that thread's memory.
  outside.wake_by_ref();
  Waker copy = outside;
  std::move(copy).wake();
  std::move(outside).wake();
}

TEST_CASE("E03 a wake from a destructor of a thread-local, of an executor on another thread",
          "[executor][thread][regression]") {
  const WakerKind when = ANY_WAKER();  // by reference or by value
  const bool executor_is_gone = GENERATE(false, true);
  CAPTURE(when, executor_is_gone);
  struct Last {
    Waker waker{};
    bool by_value = false;
    ~Last() {
      if (by_value) {
        std::move(waker).wake();
      } else {
        waker.wake_by_ref();
      }
    }
  };
  Ledger ledger;
  KeptWaker unused(WakerKind::any_thread);
  std::optional<Executor> executor(std::in_place);
  Waker waker;
  JoinHandle<int> handle = executor->spawn(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
    if (ledger.polls == 2) return Ready(2);
    waker = context.waker();
    return Pending;
  }));
  CHECK(executor->run_until_stalled() == 1);
  if (executor_is_gone) executor.reset();
  std::thread([&, mine = std::move(waker)]() mutable {
    static thread_local Last last;
    last.waker = std::move(mine);
    last.by_value = when == WakerKind::local;
  }).join();
  if (executor_is_gone) {
    CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
    CHECK(ledger.polls == 1);
  } else {
    CHECK(executor->run_until_stalled() == 1);
    CHECK(executor->stats().remote_wakes == 1);
    CHECK(handle.try_join() == 2);
    CHECK(executor->live_tasks() == 0);
    executor->check_deep();
  }
}

TEST_CASE("many executors on many threads, made and destroyed at once", "[executor][thread]") {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&sum] {
      for (int round = 0; round < 20; ++round) {
        Executor executor;
        auto body = [](Executor& mine) -> Async<int> {
          auto child = []() -> Async<int> {
            co_await yield_now();
            co_return 1;
          };
          JoinHandle<int> first = mine.spawn(child);
          JoinHandle<int> second = mine.spawn(child);
          const int a = co_await first;
          const int b = co_await second;
          co_return a + b;
        };
        sum += executor.block_on(body, std::ref(executor));
        executor.spawn_detached(Forever<void>());
        executor.run_until_stalled();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 8 * 20 * 2);
}
