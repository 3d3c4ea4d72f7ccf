// Shows JoinHandle: awaiting, try_join, cancel, detach, is_finished and the rest, before and after the task's end,
// taken in any order; every kind of output; and that a handle used after its end aborts.
#include <memory>
#include <stdexcept>
#include <string>

#include "assay/audited/function_waker.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ScriptedFuture<int> ready(Ledger& ledger, int value) {
  return ScriptedFuture<int>(ledger, [value](Context&) -> Poll<int> { return Ready(value); });
}

}  // namespace

TEST_CASE("a handle before, at and after its task's end", "[join]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool go = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, go));
  CHECK_FALSE(handle.is_empty());
  CHECK(handle.id() == 1);
  CHECK(handle.name() == "task");
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(handle.is_finished());
    CHECK_FALSE(handle.is_cancelled());
    CHECK_FALSE(handle.is_running());
    CHECK_FALSE(handle.try_join().has_value());
    CHECK_FALSE(handle.is_empty());
    CHECK(executor.run_until_stalled() == (i == 0 ? 1U : 0U));
  }
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  JoinHandle<int> moved = std::move(handle);
  CHECK(handle.is_empty());
  CHECK_FALSE(moved.is_empty());
  go = true;
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .local_wakes = 1, .enqueued = 1, .live = 1});
  CHECK(moved.is_finished());
  CHECK_FALSE(moved.is_cancelled());
  CHECK_FALSE(moved.is_running());
  moved.cancel();  // too late
  CHECK_FALSE(moved.is_cancelled());
  CHECK(moved.try_join() == 7);
  CHECK(moved.is_empty());
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a handle is awaited before or after the task is done", "[join]") {
  const Kind kind = ANY_KIND();
  const bool awaiter_first = GENERATE(true, false);
  CAPTURE(kind, awaiter_first);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> inner;
  JoinHandle<int> outer;
  const auto spawn_outer = [&] {
    outer =
        executor.spawn([](JoinHandle<int>& handle) -> Async<int> { co_return co_await handle + 1; }, std::ref(inner));
  };
  if (awaiter_first) spawn_outer();
  inner = spawn_as(executor, kind, ready(ledger, 41));
  if (!awaiter_first) spawn_outer();
  CHECK(executor.run_until_stalled() == (awaiter_first ? 3U : 2U));
  CHECK(probe.step() == Step{.spawned = 2,
                             .polls = awaiter_first ? 3U : 2U,
                             .completed = 2,
                             .freed = 1,
                             .local_wakes = awaiter_first ? 1U : 0U,
                             .enqueued = awaiter_first ? 3U : 2U,
                             .live = 1});
  CHECK(inner.is_empty());
  CHECK(outer.try_join() == 42);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a task may be awaited on another executor, and outlive or be outlived by it", "[join]") {
  const Kind kind = ANY_KIND();
  const bool task_executor_dies_first = GENERATE(true, false);
  CAPTURE(kind, task_executor_dies_first);
  Ledger ledger;
  auto mine = std::make_unique<Executor>();
  auto other = std::make_unique<Executor>();
  KeptWaker waker(WakerKind::local);
  bool never = false;
  JoinHandle<int> inner = spawn_as(*mine, kind, waiting_script(ledger, waker, never));
  bool caught = false;
  JoinHandle<void> outer = other->spawn(
      [](JoinHandle<int> handle, bool& done) -> Async<void> {
        try {
          co_await handle;
        } catch (const TaskCancelled&) {
          done = true;
        }
      },
      std::move(inner), std::ref(caught));
  CHECK(mine->run_until_stalled() == 1);
  CHECK(other->run_until_stalled() == 1);
  if (task_executor_dies_first) {
    mine.reset();
    CHECK(ledger.futures_alive() == 0);
    CHECK(other->stats().local_wakes == 1);
    CHECK(other->run_until_stalled() == 1);
    CHECK(caught);
    CHECK(outer.is_finished());
  } else {
    other.reset();  // its task owns the handle: cancels
    CHECK(ledger.futures_alive() == 0);
    CHECK(mine->stats().cancelled == 1);
    CHECK_FALSE(caught);
    mine->check_deep();
  }
  waker.drop();
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("outputs of every kind come through a handle", "[join]") {
  Executor executor;
  int target = 5;
  auto reference = [](int& value) -> Async<int&> { co_return value; };
  auto nothing = []() -> Async<void> { co_return; };
  auto unique = []() -> Async<std::unique_ptr<int>> { co_return std::make_unique<int>(6); };
  auto text = []() -> Async<std::string> { co_return "a long text that does not fit into the small buffer"; };
  auto constant = []() -> Async<const int> { co_return 7; };
  JoinHandle<int&> by_reference = executor.spawn(reference, std::ref(target));
  JoinHandle<void> empty = executor.spawn(nothing);
  JoinHandle<std::unique_ptr<int>> moved = executor.spawn(unique);
  JoinHandle<std::string> string = executor.spawn(text);
  JoinHandle<const int> readonly = executor.spawn(constant);
  CHECK_FALSE(empty.try_join().has_value());
  CHECK(executor.run_until_stalled() == 5);
  CHECK(&by_reference.try_join()->get() == &target);
  CHECK(empty.try_join().has_value());
  CHECK(**moved.try_join() == 6);
  CHECK(string.try_join() == "a long text that does not fit into the small buffer");
  CHECK(readonly.try_join() == 7);
  CHECK(executor.live_tasks() == 0);

  // The same by co_await.
  auto all = [&](Executor& mine) -> Async<int> {
    JoinHandle<int&> first = mine.spawn(reference, std::ref(target));
    JoinHandle<void> second = mine.spawn(nothing);
    JoinHandle<std::unique_ptr<int>> third = mine.spawn(unique);
    int& got = co_await first;
    got = 8;
    co_await second;
    const std::unique_ptr<int> pointer = co_await third;
    co_return got + *pointer;
  };
  CHECK(executor.block_on(all, std::ref(executor)) == 14);
  CHECK(target == 8);
  CHECK(executor.live_tasks() == 0);
  executor.check_deep();
}

TEST_CASE("detach lets a task run on, and it frees itself", "[join]") {
  const Kind kind = ANY_KIND();
  const int when = GENERATE(0, 1, 2);  // before the first poll, while it waits, when it is done
  CAPTURE(kind, when);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool go = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, go));
  if (when == 0) handle.detach();
  CHECK(executor.run_until_stalled() == 1);
  if (when == 1) handle.detach();
  go = true;
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 2,
                             .completed = 1,
                             .freed = when == 2 ? 0U : 1U,
                             .local_wakes = 1,
                             .enqueued = 2,
                             .live = when == 2 ? 1U : 0U});
  if (when == 2) {
    handle.detach();
    CHECK(probe.step() == Step{.freed = 1});
  }
  CHECK(handle.is_empty());
}

TEST_CASE("ids count up from one, and are not reused", "[join][task]") {
  Ledger ledger;
  Executor executor;
  for (std::uint64_t id = 1; id <= 50; ++id) {
    JoinHandle<int> handle = executor.spawn("worker", ready(ledger, 1));
    CHECK(handle.id() == id);
    CHECK(handle.name() == "worker");
    CHECK(executor.run_until_stalled() == 1);
  }
}

TEST_CASE("abort: a JoinHandle after its end", "[join][abort]") {
  const std::string words = "a JoinHandle was used after it was awaited to its end, detached or moved from";
  const auto with_handle = [](void (*use)(Executor&, JoinHandle<int>&)) {
    return [use] {
      Executor executor;
      Ledger ledger;
      JoinHandle<int> handle = executor.spawn(ready(ledger, 1));
      executor.run_until_stalled();
      use(executor, handle);
    };
  };
  check_dies(words, [] { JoinHandle<int>().cancel(); });
  check_dies(words, with_handle([](Executor&, JoinHandle<int>& handle) {
               handle.detach();
               handle.cancel();
             }));
  check_dies(words, with_handle([](Executor&, JoinHandle<int>& handle) {
               handle.detach();
               handle.detach();
             }));
  check_dies(words, with_handle([](Executor&, JoinHandle<int>& handle) {
               static_cast<void>(handle.try_join());
               static_cast<void>(handle.try_join());
             }));
  check_dies(words, with_handle([](Executor& executor, JoinHandle<int>& handle) {
               executor.block_on(handle);
               executor.block_on(handle);
             }));
  check_dies(words, with_handle([](Executor&, JoinHandle<int>& handle) {
               const JoinHandle<int> other = std::move(handle);
               static_cast<void>(handle.is_finished());
             }));
  check_survives(with_handle([](Executor&, JoinHandle<int>& handle) {
    handle.detach();
    if (!handle.is_empty()) std::abort();
  }));
}

TEST_CASE("abort: a task awaits its own handle", "[join][abort]") {
  check_dies("a task awaits its own JoinHandle: it would wait for ever", [] {
    Executor executor;
    JoinHandle<void> handle;
    auto wait_for_self = [&handle]() -> Async<void> { co_await handle; };
    handle = executor.spawn(std::move(wait_for_self));
    executor.run_until_stalled();
  });
}

TEST_CASE("abort: a handle is let go of by the end of the waker that it replaces", "[join][abort]") {
  struct LetsGo {
    explicit LetsGo(JoinHandle<void>& given) : handle(given) {}
    void operator()() {}
    ~LetsGo() { const JoinHandle<void> gone = std::move(handle); }
    JoinHandle<void>& handle;
  };
  check_dies("a JoinHandle was used after it was awaited to its end, detached or moved from", [] {
    Executor executor;
    JoinHandle<void> handle = executor.spawn(forever());
    executor.run_until_stalled();  // the ready queue would keep the task's memory
    {
      const auto made = audited::FunctionWaker<LetsGo>::make(handle);
      Context context(made.waker);
      static_cast<void>(handle.poll(context));
    }
    const Waker other;
    Context context(other);
    static_cast<void>(handle.poll(context));
  });
}
