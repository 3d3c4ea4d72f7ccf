// Shows the scheduler and the coroutine machinery by themselves, below the executor: what an executor never does
// aborts.
#include <memory>
#include <optional>

#include "assay/descriptors.hpp"
#include "assay/executor.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using detail::SchedulerOwner;
using detail::SlabOptions;
using detail::TaskHandle;

namespace {

ScriptedFuture<int> script(Ledger& ledger, ScriptedFuture<int>::OnPoll poll) { return {ledger, std::move(poll)}; }

// Its move constructor, which a spawn runs, ends the executor.
struct Ends {
  using Output = int;
  explicit Ends(std::optional<Executor>& given) : executor(&given) {}
  Ends(Ends&& other) noexcept : executor(other.executor) { executor->reset(); }
  Poll<int> poll(Context&) { return Ready(1); }
  std::optional<Executor>* executor;
};

// Its move constructor uses the executor in every way.
struct Busy {
  using Output = int;
  Busy(Executor& given, Ledger& counts) : executor(&given), ledger(&counts) {}
  Busy(Busy&& other) noexcept : executor(other.executor), ledger(other.ledger) {
    executor->spawn_detached(ScriptedFuture<int>(*ledger, [](Context&) -> Poll<int> { return Ready(2); }));
    executor->check_deep();
    seen = executor->tasks().size();
    polled = executor->run_until_stalled();
    executor->check_deep();
  }
  Poll<int> poll(Context&) { return Ready(static_cast<int>(seen * 10 + polled)); }
  Executor* executor;
  Ledger* ledger;
  std::size_t seen = 0;
  std::size_t polled = 0;
};

}  // namespace

TEST_CASE("scheduler: a task's life without an executor", "[kernel][scheduler]") {
  Ledger ledger;
  {
    SchedulerOwner scheduler{SlabOptions{}};
    CHECK_FALSE(scheduler->run_one(nullptr));
    auto* const task =
        scheduler->spawn<ScriptedFuture<int>>("alone", script(ledger, [&](Context& context) -> Poll<int> {
                                                CHECK(context.executor() == nullptr);
                                                if (ledger.polls == 2) return Ready(7);
                                                context.local_waker().wake_by_ref();
                                                return Pending;
                                              }));
    REQUIRE(task != nullptr);
    detail::TaskHandle<int> handle(*scheduler, *task);
    scheduler->check_deep();
    CHECK(scheduler->run_one(nullptr));
    scheduler->check_deep();
    CHECK_FALSE(handle.is_done());
    CHECK(scheduler->run_one(nullptr));
    scheduler->check_deep();
    CHECK(handle.is_done());
    CHECK(handle.take() == 7);
    CHECK_FALSE(scheduler->run_one(nullptr));
    CHECK(scheduler->stats().polls == 2);
    CHECK(scheduler->stats().completed == 1);
    CHECK(scheduler->stats().freed == 0);  // the handle still is
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("abort: scheduler misuse", "[kernel][scheduler][abort]") {
  check_dies("internal: a task was polled inside another's poll", [] {
    Ledger ledger;
    SchedulerOwner scheduler{SlabOptions{}};
    scheduler->spawn<ScriptedFuture<int>>("outer", script(ledger, [&](Context&) -> Poll<int> {
                                            scheduler->run_one(nullptr);
                                            return Ready(1);
                                          }));
    scheduler->run_one(nullptr);
  });
  check_dies("an Executor was destroyed by one of its own tasks", [] {
    Ledger ledger;
    std::optional<SchedulerOwner> scheduler(std::in_place, SlabOptions{});
    (*scheduler)->spawn<ScriptedFuture<int>>("ender", script(ledger, [&](Context&) -> Poll<int> {
                                               scheduler.reset();
                                               return Ready(1);
                                             }));
    (*scheduler)->run_one(nullptr);
  });
  check_dies("internal: a task was given two handles", [] {
    Ledger ledger;
    SchedulerOwner scheduler{SlabOptions{}};
    auto* const task =
        scheduler->spawn<ScriptedFuture<int>>("shared", script(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
    const TaskHandle first(*scheduler, *task);
    const TaskHandle second(*scheduler, *task);
  });
  check_dies_from_level<2>("internal: a task was given its handle while it ran", [] {
    Ledger ledger;
    SchedulerOwner scheduler{SlabOptions{}};
    audited::Task<ScriptedFuture<int>>* task = nullptr;
    task = scheduler->spawn<ScriptedFuture<int>>("late", script(ledger, [&](Context&) -> Poll<int> {
                                                   const TaskHandle handle(*scheduler, *task);
                                                   return Ready(1);
                                                 }));
    scheduler->run_one(nullptr);
  });
  check_dies("internal: an output was taken that is not there", [] {
    Ledger ledger;
    SchedulerOwner scheduler{SlabOptions{}};
    auto* const task =
        scheduler->spawn<ScriptedFuture<int>>("early", script(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
    static_cast<void>(task->typed_vtable().take_output(*task));
  });
}

TEST_CASE("abort: an executor that ends while it makes a task", "[kernel][scheduler][abort]") {
  check_dies("an Executor was destroyed while it made a task, by the constructor of the task's future", [] {
    std::optional<Executor> executor(std::in_place);
    executor->spawn_detached(Ends(executor));
  });
}

TEST_CASE("a future's constructor may use the executor that makes its task", "[kernel][scheduler]") {
  Ledger ledger;
  Executor executor;
  JoinHandle<int> handle = executor.spawn(Busy(executor, ledger));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(handle.try_join() == 11);
  CHECK(executor.live_tasks() == 0);
  CHECK(executor.stats().spawned == 2);
  executor.check_deep();
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("abort: the coroutine machinery, used from outside a chain", "[kernel][coroutine][abort]") {
  struct Idle final : detail::Leaf {
    Idle() : Leaf(std::source_location::current()) {}
    bool poll_leaf(Context&) noexcept override { return true; }
  };
  check_dies("internal: a coroutine waits that is not the innermost", [] {
    detail::AsyncPromise<void> promise;
    Idle leaf;
    promise.suspend_on(leaf);
  });
  check_dies("internal: a coroutine awaits that is not the innermost", [] {
    detail::AsyncPromise<void> parent;
    auto body = []() -> Async<int> { co_return 1; };
    Async<int> child = body();
    detail::ChildAwaiter<int>(parent, child).await_suspend({});
  });
  check_dies("internal: a coroutine finished that is not the innermost", [] {
    detail::AsyncPromise<void> promise;
    promise.final_suspend().await_suspend(std::coroutine_handle<detail::AsyncPromise<void>>());
  });
  check_dies_from_level<2>("internal: a coroutine has no handle", [] {
    detail::AsyncPromise<void> promise;
    promise.resume();
  });
  check_dies("internal: an outcome was taken before it was there", [] {
    detail::Outcome<int> outcome;
    static_cast<void>(outcome.take());
  });
}

TEST_CASE("abort: a function waker copied too often, or dropped twice", "[kernel][waker][abort]") {
  // Its counter is the first member of its block: set here, since counting there would take centuries.
  struct Nothing {
    void operator()() const {}
  };
  using Count = audited::sync::Atomic<std::uint64_t>;
  const auto count_of = [](const Waker& waker) -> Count& { return *static_cast<Count*>(waker.as_raw().data); };
  check_dies("too many copies of one function waker are alive", [&] {
    const Waker waker = function_waker(Nothing());
    count_of(waker).exchange_acq_rel(std::uint64_t{1} << 62);
    const Waker copy = waker;
  });
  check_dies("internal: a function waker was dropped twice", [&] {
    const Waker waker = function_waker(Nothing());
    count_of(waker).exchange_acq_rel(0);
  });
}

TEST_CASE("abort: a reactor and its waits, used twice", "[kernel][abort]") {
  check_dies("internal: a wait for an fd was started twice", [] {
    PollReactor reactor;
    FdWait wait(0, Interest::read);
    reactor.watch(wait, LocalWaker());
    reactor.watch(wait, LocalWaker());
  });
  check_dies_from_level<2>("internal: a negative time to wait", [] { static_cast<void>(detail::wait_for({}, -1)); });
}
