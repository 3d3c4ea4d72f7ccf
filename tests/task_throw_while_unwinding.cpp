// Shows that polls, throws and cancels work inside destructors that run because another exception is on its way: what
// is caught is the right one, and the outer exception arrives.
#include <stdexcept>
#include <vector>

#include "assay/run.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

ScriptedFuture<int> throws(Ledger& ledger, const char* what) {
  return ScriptedFuture<int>(ledger, [what](Context&) -> Poll<int> { throw std::runtime_error(what); });
}

// Catches what `code` throws.
template <class Code>
std::string caught(Code&& code) {
  try {
    code();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

Async<int> coroutine_with(OnExit local, ScriptedFuture<int> script) {
  const OnExit mine(std::move(local));
  co_return co_await script;
}

}  // namespace

TEST_CASE("a task throws while another's exception unwinds", "[task][throw]") {
  const Kind kind = ANY_KIND();
  const bool with_run = GENERATE(false, true);
  CAPTURE(kind, with_run);

  Ledger ledger;
  Executor outer;
  Executor inner;
  Probe probe(inner, ledger);
  std::vector<std::string> seen;
  const auto action = [&] {
    CHECK(std::uncaught_exceptions() > 0);
    seen.push_back(caught([&] {
      if (with_run) {
        run(awaiting(throws(ledger, "inner")));
      } else {
        JoinHandle<int> handle = spawn_as(inner, kind, throws(ledger, "inner"));
        inner.run_until_stalled();
        static_cast<void>(handle.try_join());
      }
    }));
  };
  JoinHandle<int> handle = outer.spawn(coroutine_with(OnExit(action), throws(ledger, "outer")));
  CHECK(outer.run_until_stalled() == 1);
  outer.check_deep();
  if (with_run) {
    CHECK(probe.step() == Step{});
  } else {
    CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .threw = 1, .freed = 1, .enqueued = 1});
  }
  seen.push_back(caught([&] { static_cast<void>(handle.try_join()); }));
  CHECK(seen == std::vector<std::string>{"inner", "outer"});
  CHECK(outer.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("spawn, wake and cancel while an exception unwinds through a coroutine", "[task][throw][cancel]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> woken = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  KeptWaker unused(WakerKind::any_thread);
  bool never = false;
  JoinHandle<int> cancelled = spawn_as(executor, kind, waiting_script(ledger, unused, never));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2, .futures = 2});
  JoinHandle<int> spawned;
  const auto action = [&] {
    CHECK(std::uncaught_exceptions() > 0);
    ready = true;
    waker.wake();
    cancelled.cancel();
    spawned = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(5); }));
  };
  JoinHandle<int> throwing = executor.spawn(coroutine_with(OnExit(action), throws(ledger, "outer")));
  CHECK(executor.poll_once());
  CHECK(probe.step() == Step{.spawned = 2,
                             .polls = 1,
                             .threw = 1,
                             .cancelled = 1,
                             .local_wakes = 1,
                             .enqueued = 3,
                             .live = 4,
                             .futures = 2});
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.polls = 2, .completed = 2, .live = 4});
  CHECK(woken.try_join() == 7);
  CHECK(spawned.try_join() == 5);
  CHECK_THROWS_AS(cancelled.try_join(), TaskCancelled);
  CHECK_THROWS_AS(throwing.try_join(), std::runtime_error);
  unused.drop();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("an executor dies while an exception unwinds past it", "[task][throw][executor]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  KeptWaker waker(WakerKind::any_thread);
  bool never = false;
  const std::string what = caught([&] {
    JoinHandle<int> handle;
    Executor executor;
    handle = spawn_as(executor, kind,
                      waiting_script(ledger, waker, never, 7, [&] { CHECK(std::uncaught_exceptions() == 1); }));
    executor.run_until_stalled();
    throw std::runtime_error("past the executor");
  });
  CHECK(what == "past the executor");
  waker.wake();
  CHECK(ledger.leftovers().empty());
}
