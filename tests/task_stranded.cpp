// Shows the stranded-task report: a task that is Pending, not queued, and whose waker nobody has kept is reported once,
// with its name and co_await location, under each policy; so is an unfinished detached task whose last waker is dropped
// later.
#include <string>

#include "assay/yield.hpp"
#include "assay_testkit/dies.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Pending for ever, without keeping a waker.
ScriptedFuture<int> forgetful(Ledger& ledger) {
  return ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Pending; });
}

ExecutorOptions with(OnStranded policy) {
  ExecutorOptions options;
  options.on_stranded = policy;
  return options;
}

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a task that is Pending and keeps no waker is counted as stranded, once", "[stranded]") {
  const Kind kind = ANY_KIND();
  const bool detached = GENERATE(false, true);
  CAPTURE(kind, detached);
  Ledger ledger;
  {
    Executor executor(with(OnStranded::ignore));
    Probe probe(executor, ledger);
    JoinHandle<int> handle = spawn_as(executor, kind, forgetful(ledger));
    if (detached) handle.detach();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .stranded = 1, .live = 1, .futures = 1});
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == Step{.live = 1, .futures = 1});
    if (detached) return;
    handle.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 1});
    CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
    CHECK(probe.step() == Step{.freed = 1});
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a stranded task whose handle lets go afterwards is not reported again", "[stranded]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor(with(OnStranded::ignore));
  Probe probe(executor, ledger);
  JoinHandle<int> handle = spawn_as(executor, kind, forgetful(ledger));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .stranded = 1, .live = 1, .futures = 1});
  handle.detach();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.live = 1, .futures = 1});
}

TEST_CASE("the last waker of an unfinished detached task is dropped", "[stranded][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const bool detached = GENERATE(true, false);
  const bool in_poll = GENERATE(false, true);  // dropped by another task's poll, or outside the run loop
  CAPTURE(kind, waker_kind, detached, in_poll);
  Ledger ledger;
  Executor executor(with(OnStranded::ignore));
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  KeptWaker copy(waker_kind);
  bool never = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, never));
  if (detached) handle.detach();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  copy = waker;
  waker.drop();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.live = 1, .futures = 1});  // the copy could still wake it
  const bool local = copy.is_local();
  if (in_poll) {
    Ledger other;
    executor.spawn_detached(ScriptedFuture<int>(other, [&](Context&) -> Poll<int> {
      copy.drop();
      CHECK(executor.stats().stranded == 0);  // reported between polls
      return Ready(1);
    }));
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.spawned = 1,
                               .polls = 1,
                               .completed = 1,
                               .freed = 1,
                               .enqueued = 2,
                               .stranded = 1,
                               .live = 1,
                               .futures = 1});
  } else {
    copy.drop();
    // Nothing is reported from inside a drop: the task is looked at again in the run loop.
    CHECK(probe.step() == Step{.enqueued = local ? 1U : 0U, .live = 1, .futures = 1});
    CHECK(executor.run_until_stalled() == 0);
    CHECK(probe.step() == Step{.enqueued = local ? 0U : 1U, .stranded = 1, .live = 1, .futures = 1});
  }
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.live = 1, .futures = 1});
}

TEST_CASE("a wake that comes with the last drop rescues the task", "[stranded][waker]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const bool by_value = GENERATE(false, true);
  CAPTURE(kind, waker_kind, by_value);
  Ledger ledger;
  Executor executor;  // would abort
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  ready = true;
  if (by_value) {
    waker.wake();
  } else {
    waker.wake_by_ref();
    waker.drop();
  }
  CHECK(executor.run_until_stalled() == 1);
  const bool local = waker.is_local();
  CHECK(probe.step() == Step{.polls = 1,
                             .completed = 1,
                             .local_wakes = local ? 1U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = 1,
                             .live = 1});
  CHECK(handle.try_join() == 7);
}

TEST_CASE("a task that waits for something is not stranded", "[stranded]") {
  Ledger ledger;
  Executor executor;  // would abort
  Probe probe(executor, ledger);
  JoinHandle<void> forever = executor.spawn(Forever<void>());
  JoinHandle<void> joins =
      executor.spawn([](JoinHandle<void> handle) -> Async<void> { co_await handle; }, std::move(forever));
  JoinHandle<void> yields = executor.spawn(YieldNow());
  CHECK(executor.run_until_stalled() == 4);
  CHECK(probe.step() == Step{.spawned = 3, .polls = 4, .completed = 1, .local_wakes = 1, .enqueued = 4, .live = 3});
}

TEST_CASE("policy abort: one line with name, number and place, then abort", "[stranded][abort]") {
  SECTION("a coroutine says where it waits") {
    const testkit::Death death = testkit::run_in_child([] {
      Ledger ledger;
      Executor executor;
      executor.spawn_detached("sleeper", awaiting(forgetful(ledger)));
      executor.run_until_stalled();
    });
    CAPTURE(death.standard_error);
    CHECK(death.aborted);
    CHECK(count(death.standard_error,
                "assay: task 'sleeper' #1 is Pending and nobody has kept its waker, so it can never run "
                "again; waiting at ") == 1);
    CHECK(count(death.standard_error, "support/kinds.hpp:") == 1);
    CHECK(count(death.standard_error,
                "assay: a task was stranded (see the line above, and ExecutorOptions::on_stranded): sleeper") == 1);
  }
  SECTION("a hand-written future has no place") {
    check_dies(
        "task 'sleeper' #1 is Pending and nobody has kept its waker, so it can never run again; waiting at a future of "
        "its own",
        [] {
          Ledger ledger;
          Executor executor;
          executor.spawn_detached("sleeper", forgetful(ledger));
          executor.run_until_stalled();
        });
  }
  SECTION("block_on of a future that keeps no waker dies instead of hanging") {
    check_dies("a task was stranded", [] {
      Ledger ledger;
      Executor executor;
      executor.block_on(forgetful(ledger));
    });
  }
  SECTION("the last waker is dropped later, on another kind of path") {
    const WakerKind waker_kind = ANY_WAKER();
    check_dies("task 'dropped' #1 is Pending", [waker_kind] {
      Ledger ledger;
      Executor executor;
      KeptWaker waker(waker_kind);
      bool never = false;
      executor.spawn_detached("dropped", waiting_script(ledger, waker, never));
      executor.run_until_stalled();
      waker.drop();
      executor.run_until_stalled();
    });
  }
}

TEST_CASE("policy log: one line per task, and the program goes on", "[stranded]") {
  const testkit::Death death = testkit::run_in_child([] {
    Ledger ledger;
    Executor executor(with(OnStranded::log));
    executor.spawn_detached("first", forgetful(ledger));
    executor.spawn_detached("second", awaiting(forgetful(ledger)));
    for (int i = 0; i < 3; ++i) executor.run_until_stalled();
    if (executor.stats().stranded != 2) std::abort();
  });
  CAPTURE(death.standard_error);
  CHECK_FALSE(death.aborted);
  CHECK(death.exit_code == 0);
  CHECK(count(death.standard_error, "assay: ") == 2);
  CHECK(count(death.standard_error, "assay: task 'first' #1 is Pending") == 1);
  CHECK(count(death.standard_error, "assay: task 'second' #2 is Pending") == 1);
}

TEST_CASE("policy ignore: silence", "[stranded]") {
  check_survives([] {
    Ledger ledger;
    Executor executor(with(OnStranded::ignore));
    executor.spawn_detached("first", forgetful(ledger));
    executor.run_until_stalled();
    if (executor.stats().stranded != 1) std::abort();
  });
}
