// Shows that cancelling a task that waits destroys its future before cancel() returns, once, on any path: cancel(),
// dropping the handle, assigning over it; that cancel is idempotent; and that awaiting a cancelled task throws
// TaskCancelled.
#include <memory>
#include <vector>

#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class By { cancel, drop, assignment, move_assignment, swap };

std::ostream& operator<<(std::ostream& out, By by) {
  constexpr const char* names[] = {"cancel()", "drop", "assignment", "move assignment", "swap"};
  return out << names[static_cast<int>(by)];
}

}  // namespace

TEST_CASE("cancelling a waiting task destroys its future at once", "[cancel]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const By by = GENERATE(By::cancel, By::drop, By::assignment, By::move_assignment, By::swap);
  CAPTURE(kind, waker_kind, by);

  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  {
    // What the future borrows lives in this scope only: it must be gone when the cancel returns.
    auto borrowed = std::make_unique<int>(1);
    JoinHandle<int> handle =
        spawn_as(executor, kind, waiting_script(ledger, waker, ready, 7, [&] { CHECK(*borrowed == 1); }));
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
    bool handle_left = false;
    switch (by) {
      case By::cancel:
        handle.cancel();
        handle_left = true;
        break;
      case By::drop: {
        const JoinHandle<int> gone = std::move(handle);
      } break;
      case By::assignment:
        handle = JoinHandle<int>();
        break;
      case By::move_assignment: {
        JoinHandle<int> empty;
        handle = std::move(empty);
        CHECK(ledger.futures_alive() == 0);  // the old task went with the assignment, not with `empty`
        break;
      }
      case By::swap: {
        JoinHandle<int> other;
        std::swap(handle, other);
        CHECK(ledger.futures_alive() == 1);
        CHECK(handle.is_empty());
        break;
      }
    }
    borrowed.reset();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 1});  // the waker keeps the memory
    if (handle_left) {
      CHECK(handle.is_finished());
      CHECK(handle.is_cancelled());
      handle.cancel();
      handle.cancel();
      CHECK(probe.step() == Step{.live = 1});
      CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
    }
    CHECK(handle.is_empty());
  }
  waker.wake_by_ref();
  CHECK(executor.run_until_stalled() == 0);
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.local_wakes = local ? 1U : 0U, .remote_wakes = local ? 0U : 1U, .live = 1});
  waker.drop();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = 1});
  CHECK(ledger.polls == 1);
}

TEST_CASE("who awaits a task that is cancelled is woken, and gets TaskCancelled", "[cancel][join]") {
  const Kind kind = ANY_KIND();
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> inner = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  JoinHandle<int>* const address = &inner;
  JoinHandle<bool> outer = executor.spawn(
      [](JoinHandle<int>& awaited) -> Async<bool> {
        try {
          co_await awaited;
        } catch (const TaskCancelled&) {
          co_return true;
        }
        co_return false;
      },
      std::ref(*address));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2, .futures = 1});
  inner.cancel();
  CHECK(probe.step() == Step{.cancelled = 1, .local_wakes = 1, .enqueued = 1, .live = 2});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .live = 2});
  CHECK(inner.is_empty());
  CHECK(outer.try_join() == true);
  waker.drop();
  CHECK(probe.step() == Step{.freed = 2});
}

TEST_CASE("tasks that own each other's handles: up to 1000 cancels nest", "[cancel]") {
  Ledger ledger;
  const auto chain = [&ledger](Executor& executor, int length) {
    JoinHandle<void> head;
    for (int i = 0; i < length; ++i) {
      auto next = std::make_shared<JoinHandle<void>>(std::move(head));
      head = executor.spawn(ScriptedFuture<void>(
          ledger, [keep = Forever<void>(), next](Context& context) mutable { return keep.poll(context); }));
    }
    return head;
  };
  constexpr int length = 900;
  {
    Executor executor;
    Probe probe(executor, ledger);
    JoinHandle<void> head = chain(executor, length);
    CHECK(executor.run_until_stalled() == length);
    CHECK(probe.step() ==
          Step{.spawned = length, .polls = length, .enqueued = length, .live = length, .futures = length});
    head.cancel();
    CHECK(probe.step() == Step{.cancelled = length, .freed = length - 1, .live = 1});
  }
  {
    Executor executor;
    JoinHandle<void> head = chain(executor, length);
    executor.run_until_stalled();
  }  // the other order: the handle dies first, then the executor
  {
    JoinHandle<void> head;
    Executor executor;
    head = chain(executor, length);
    executor.run_until_stalled();
  }  // the executor dies first
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("abort: more than 1000 tasks that cancel each other", "[cancel][abort]") {
  check_dies("more than 1000 tasks cancel each other in a chain of destructors", [] {
    Ledger ledger;
    Executor executor;
    JoinHandle<void> head;
    for (int i = 0; i < 1100; ++i) {
      auto next = std::make_shared<JoinHandle<void>>(std::move(head));
      head = executor.spawn(ScriptedFuture<void>(ledger, [next](Context&) -> Poll<void> { return Pending; }));
    }
    head.cancel();
  });
}

TEST_CASE("a handle that is assigned over while the old task's destructor uses it", "[cancel][join]") {
  // The two tasks have different layouts: what is read must be read as what it is.
  struct alignas(64) Wide {
    using Output = int;
    explicit Wide(std::function<void()> action) : on_exit(std::move(action)) {}
    Poll<int> poll(Context& context) { return keep.poll(context); }
    Forever<int> keep{};
    OnExit on_exit;
  };
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle;
  std::optional<int> seen;
  handle = executor.spawn(Wide([&] { seen = handle.try_join(); }));
  JoinHandle<int> other = executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(42); }));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .completed = 1, .enqueued = 2, .live = 2});
  handle = std::move(other);
  CHECK(seen == 42);
  CHECK(handle.is_empty());
  CHECK(other.is_empty());
  CHECK(probe.step() == Step{.cancelled = 1, .freed = 2});
}
