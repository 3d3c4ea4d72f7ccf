// Shows that wakers of both kinds, and JoinHandles, may outlive the executor: every operation on them does nothing but
// keep count, the futures are destroyed at the executor's death, and the last of the survivors frees its memory.
#include <array>
#include <optional>

#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using testkit::allocation_counts;

namespace {

enum class State { waiting, woken, done, joined };

std::ostream& operator<<(std::ostream& out, State state) {
  constexpr const char* names[] = {"waiting", "woken", "done", "joined"};
  return out << names[static_cast<int>(state)];
}

std::uint64_t deletes() { return allocation_counts().deletes; }

}  // namespace

TEST_CASE("wakers outlive the executor", "[waker][executor]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const State state = GENERATE(State::waiting, State::woken, State::done, State::joined);
  const bool detached = GENERATE(false, true);
  CAPTURE(kind, waker_kind, state, detached);
  if (detached && state == State::joined) return;

  Ledger ledger;
  KeptWaker waker(waker_kind);
  bool ready = false;
  {
    std::optional<Executor> executor(std::in_place);
    JoinHandle<int> handle = spawn_as(*executor, kind, waiting_script(ledger, waker, ready));
    if (detached) handle.detach();
    CHECK(executor->run_until_stalled() == 1);
    if (state != State::waiting) waker.wake_by_ref();
    if (state == State::done || state == State::joined) {
      ready = true;
      CHECK(executor->run_until_stalled() == 1);
    }
    if (state == State::joined) CHECK(handle.try_join() == 7);
    executor->check_deep();
    CHECK(executor->live_tasks() == 1);
    CHECK(ledger.futures_alive() == (ready ? 0U : 1U));
    if (!detached && state != State::joined) handle.detach();
    executor.reset();
  }
  CHECK(ledger.futures_alive() == 0);
  CHECK(ledger.polls == (ready ? 2 : 1));  // the end wakes and polls nobody

  // What is left is the waker's: nothing that is done with it frees anything, until the last copy goes.
  const std::uint64_t before = deletes();
  {
    KeptWaker copy = waker;
    waker.wake_by_ref();
    copy.wake_a_copy();
    copy.wake_by_ref();
    waker.wake_by_ref();
    copy.wake();
    CHECK(copy.is_empty());
  }
  waker.wake_a_copy();
  CHECK(deletes() == before);
  CHECK(ledger.polls == (ready ? 2 : 1));
  state == State::woken ? waker.wake() : waker.drop();
  CHECK(deletes() >= before + 2);  // at least the executor's core and a chunk of task memory
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("LocalWaker, Waker and JoinHandle outlive the executor and go in any order", "[waker][executor]") {
  const Kind kind = ANY_KIND();
  const bool done = GENERATE(false, true);
  const auto order = GENERATE(std::array{0, 1, 2}, std::array{0, 2, 1}, std::array{1, 0, 2}, std::array{1, 2, 0},
                              std::array{2, 0, 1}, std::array{2, 1, 0});
  CAPTURE(kind, done, order[0], order[1], order[2]);

  Ledger ledger;
  KeptWaker local(WakerKind::local);
  KeptWaker remote(WakerKind::any_thread);
  std::optional<JoinHandle<Counted>> handle;
  {
    Executor executor;
    ScriptedFuture<Counted> script(ledger, [&](Context& context) -> Poll<Counted> {
      if (ledger.polls == 2) return Ready(Counted(ledger, 42));
      local.keep(context);
      remote.keep(context);
      return Pending;
    });
    handle = spawn_as(executor, kind, std::move(script));
    CHECK(executor.run_until_stalled() == 1);
    if (done) {
      local.wake_by_ref();
      CHECK(executor.run_until_stalled() == 1);
    }
    CHECK(handle->is_finished() == done);
    CHECK(ledger.values_alive() == (done ? 1U : 0U));
  }
  CHECK(ledger.futures_alive() == 0);
  CHECK(ledger.values_alive() == (done ? 1U : 0U));  // the outcome is the handle's
  CHECK(handle->is_finished());
  CHECK(handle->is_cancelled() == !done);
  handle->cancel();  // nothing happens to a task that is over
  CHECK(handle->is_cancelled() == !done);

  const std::uint64_t before = deletes();
  for (int step = 0; step < 3; ++step) {
    local.wake_by_ref();
    remote.wake_by_ref();
    CHECK(deletes() == before);
    switch (order.at(static_cast<std::size_t>(step))) {
      case 0:
        local.drop();
        break;
      case 1:
        remote.wake();
        break;
      default:
        handle.reset();
        CHECK(ledger.values_alive() == 0);
        break;
    }
  }
  CHECK(deletes() >= before + 2);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a JoinHandle that outlives the executor gives the outcome, or TaskCancelled", "[executor][join]") {
  const Kind kind = ANY_KIND();
  const bool done = GENERATE(false, true);
  const bool polled = GENERATE(false, true);
  CAPTURE(kind, done, polled);

  Ledger ledger;
  JoinHandle<Counted> handle;
  {
    Executor executor;
    handle = spawn_as(executor, kind, ScriptedFuture<Counted>(ledger, [&](Context&) -> Poll<Counted> {
                        return Ready(Counted(ledger, 42));
                      }));
    if (done) CHECK(executor.run_until_stalled() == 1);
  }
  CHECK(ledger.futures_alive() == 0);
  CHECK(ledger.values_alive() == (done ? 1U : 0U));
  const auto take = [&]() -> int {
    if (!polled) return handle.try_join()->value();
    const Waker waker;
    Context context(waker);
    return std::move(handle.poll(context)).take().value();
  };
  if (done) {
    CHECK(take() == 42);
  } else {
    CHECK_THROWS_AS(take(), TaskCancelled);
  }
  CHECK(handle.is_empty());
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("an exception that nobody took goes with the last handle", "[executor][join]") {
  Ledger ledger;
  {
    JoinHandle<int> handle;
    {
      Executor executor;
      handle = executor.spawn(ScriptedFuture<int>(ledger, [&](Context&) -> Poll<int> { throw Counted(ledger, 1); }));
      CHECK(executor.run_until_stalled() == 1);
      CHECK(ledger.values_alive() == 1);
    }
    CHECK(ledger.values_alive() == 1);
    CHECK(handle.is_finished());
  }
  CHECK(ledger.leftovers().empty());
}
