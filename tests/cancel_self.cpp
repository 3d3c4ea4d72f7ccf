// Shows a task that cancels itself during its poll: its future lives until the poll returns, and then is destroyed,
// whether the poll says Ready, Pending, or throws; through cancel() and through dropping the handle; with and without
// waking itself.
#include <stdexcept>

#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class Then { ready, pending, throws };

std::ostream& operator<<(std::ostream& out, Then then) {
  constexpr const char* names[] = {"Ready", "Pending", "throw"};
  return out << names[static_cast<int>(then)];
}

struct Scene {
  Ledger ledger;
  std::exception_ptr unhandled;
  Executor executor{{.on_unhandled = [this](const TaskInfo&, std::exception_ptr error) { unhandled = error; }}};
  Probe probe{executor, ledger};
  JoinHandle<Counted> handle;
};

}  // namespace

TEST_CASE("a task cancels itself", "[cancel]") {
  const Kind kind = ANY_KIND();
  const Then then = GENERATE(Then::ready, Then::pending, Then::throws);
  const bool drop = GENERATE(false, true);
  const int wakes = GENERATE(0, 1, 2);  // 1: before the cancel, 2: after it
  const bool first_poll = GENERATE(true, false);
  CAPTURE(kind, then, drop, wakes, first_poll);

  Scene scene;
  auto& [ledger, unhandled, executor, probe, handle] = scene;
  int destroyed = 0;
  ScriptedFuture<Counted> script(
      ledger,
      [&](Context& context) -> Poll<Counted> {
        if (!first_poll && ledger.polls == 1) {
          context.local_waker().wake_by_ref();
          return Pending;
        }
        if (wakes == 1) context.local_waker().wake_by_ref();
        if (drop) {
          handle = JoinHandle<Counted>();
        } else {
          handle.cancel();
          handle.cancel();
          CHECK_FALSE(handle.is_finished());
          CHECK(handle.is_running());
        }
        if (wakes == 2) context.local_waker().wake_by_ref();
        CHECK(destroyed == 0);  // still alive: it is being polled
        CHECK(ledger.futures_alive() == 1);
        if (then == Then::throws) throw std::runtime_error("thrown on purpose");
        if (then == Then::ready) return Ready(Counted(ledger, 42));
        return Pending;
      },
      [&] { ++destroyed; });
  handle = spawn_as(executor, kind, std::move(script));
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1, .futures = 1});
  if (!first_poll) {
    CHECK(executor.poll_once());
    CHECK(probe.step() == Step{.polls = 1, .local_wakes = 1, .enqueued = 1, .live = 1, .futures = 1});
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(destroyed == 1);
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = then == Then::ready ? 1U : 0U,
                             .threw = then == Then::throws ? 1U : 0U,
                             .cancelled = then == Then::pending ? 1U : 0U,
                             .freed = drop ? 1U : 0U,
                             .local_wakes = wakes > 0 ? 1U : 0U,
                             .live = drop ? 0U : 1U});
  CHECK(unhandled == nullptr);  // a cancelled task's exception is nobody's
  if (!drop) {
    CHECK(handle.is_finished());
    CHECK(handle.is_cancelled());
    CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
    CHECK(probe.step() == Step{.freed = 1});
  }
  CHECK(ledger.polls == (first_poll ? 1 : 2));
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a future drops the handle of its own task as it ends", "[cancel][task]") {
  const Kind kind = ANY_KIND();
  const Then then = GENERATE(Then::ready, Then::pending, Then::throws);
  CAPTURE(kind, then);

  Scene scene;
  auto& [ledger, unhandled, executor, probe, handle] = scene;
  int destroyed = 0;
  ScriptedFuture<Counted> script(
      ledger,
      [&](Context&) -> Poll<Counted> {
        if (then == Then::throws) throw std::runtime_error("thrown on purpose");
        if (then == Then::ready) return Ready(Counted(ledger, 42));
        handle.cancel();
        return Pending;
      },
      [&] {
        ++destroyed;
        handle = JoinHandle<Counted>();  // the task is DONE, and runs
      });
  handle = spawn_as(executor, kind, std::move(script));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(destroyed == 1);
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 1,
                             .completed = then == Then::ready ? 1U : 0U,
                             .threw = then == Then::throws ? 1U : 0U,
                             .cancelled = then == Then::pending ? 1U : 0U,
                             .freed = 1,
                             .enqueued = 1});
  CHECK(unhandled == nullptr);  // the handle was dropped: the task was cancelled
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task detaches itself while it is polled", "[cancel][task]") {
  const Kind kind = ANY_KIND();
  const Then then = GENERATE(Then::ready, Then::pending, Then::throws);
  CAPTURE(kind, then);

  Scene scene;
  auto& [ledger, unhandled, executor, probe, handle] = scene;
  KeptWaker waker(WakerKind::local);
  ScriptedFuture<Counted> script(ledger, [&](Context& context) -> Poll<Counted> {
    if (ledger.polls == 1) handle.detach();
    if (ledger.polls == 2) return Ready(Counted(ledger, 42));
    if (then == Then::throws) throw std::runtime_error("thrown on purpose");
    if (then == Then::ready) return Ready(Counted(ledger, 42));
    waker.keep(context);
    return Pending;
  });
  handle = spawn_as(executor, kind, std::move(script));
  CHECK(executor.run_until_stalled() == 1);
  const bool pending = then == Then::pending;
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 1,
                             .completed = then == Then::ready ? 1U : 0U,
                             .threw = then == Then::throws ? 1U : 0U,
                             .freed = pending ? 0U : 1U,
                             .enqueued = 1,
                             .live = pending ? 1U : 0U,
                             .futures = pending ? 1U : 0U});
  CHECK((unhandled != nullptr) == (then == Then::throws));
  if (!pending) return;
  waker.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .local_wakes = 1, .enqueued = 1});
}
