// Shows the wake of a task by another thread: before its first poll is over (during it), between polls, while the
// executor sleeps, after the task's end and after the executor's; each is seen exactly once, and what the waking thread
// wrote is seen by the poll.
#include <optional>
#include <thread>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class How { by_ref, by_value, twice };

std::ostream& operator<<(std::ostream& out, How how) {
  constexpr const char* names[] = {"by reference", "by value", "twice"};
  return out << names[static_cast<int>(how)];
}

void wake(Waker waker, How how) {
  switch (how) {
    case How::by_ref:
      waker.wake_by_ref();
      break;
    case How::by_value:
      std::move(waker).wake();
      break;
    case How::twice:
      waker.wake_by_ref();
      std::move(waker).wake();
      break;
  }
}

#define ANY_HOW() GENERATE(How::by_ref, How::by_value, How::twice)

}  // namespace

TEST_CASE("a foreign wake during the poll: one more poll", "[thread]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  CAPTURE(kind, how);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  int written = 0;  // plain: ordered by the wake
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      if (ledger.polls == 2) return Ready(written);
                                      std::thread([&written, how, waker = context.waker()]() mutable {
                                        written = 42;
                                        wake(std::move(waker), how);
                                      }).join();
                                      return Pending;
                                    }));
  CHECK(executor.poll_once());
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .remote_wakes = 1, .enqueued = 1, .live = 1});
  CHECK(handle.try_join() == 42);
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a foreign wake during the poll that is Ready: nothing more", "[thread]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  const bool detached = GENERATE(false, true);
  CAPTURE(kind, how, detached);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      std::thread(wake, context.waker(), how).join();
                                      return Ready(7);
                                    }));
  if (detached) handle.detach();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 1,
                             .completed = 1,
                             .freed = detached ? 1U : 0U,
                             .remote_wakes = 1,
                             .enqueued = 1,
                             .live = detached ? 0U : 1U});
  if (!detached) CHECK(handle.try_join() == 7);
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("a foreign wake between polls", "[thread]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  CAPTURE(kind, how);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  Waker waker;
  int written = 0;
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      if (ledger.polls == 2) return Ready(written);
                                      waker = context.waker();
                                      return Pending;
                                    }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  std::thread([&] {
    written = 42;
    wake(std::move(waker), how);
  }).join();
  CHECK(ledger.polls == 1);  // the wake polls nothing, and nothing is done on the other thread
  CHECK(probe.step() == Step{.live = 1, .futures = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .remote_wakes = 1, .enqueued = 1, .live = 1});
  CHECK(handle.try_join() == 42);
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("a foreign wake of an executor that sleeps, or is about to", "[thread]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  CAPTURE(kind, how);
  // The thread wakes as soon as it has the waker: before, while and after block_on goes to sleep, as it comes.
  for (int round = 0; round < 20; ++round) {
    Ledger ledger;
    Executor executor;
    int written = 0;
    std::optional<std::thread> thread;
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        if (ledger.polls == 2) return Ready(written);
                                        thread.emplace([&written, how, waker = context.waker()]() mutable {
                                          written = 42;
                                          wake(std::move(waker), how);
                                        });
                                        return Pending;
                                      }));
    const int result = executor.block_on(handle);
    thread->join();
    if (result != 42) FAIL("the poll did not see what the waking thread wrote");
    executor.run_until_stalled();
    if (ledger.polls != 2 || executor.live_tasks() != 0) FAIL("polls or tasks miscounted");
    executor.check_deep();
  }
}

TEST_CASE("a foreign wake after the task's end, before and after its outcome is taken", "[thread]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  const bool taken = GENERATE(false, true);
  CAPTURE(kind, how, taken);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  Waker waker;
  JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                      waker = context.waker();
                                      return Ready(7);
                                    }));
  CHECK(executor.run_until_stalled() == 1);
  if (taken) CHECK(handle.try_join() == 7);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .enqueued = 1, .live = 1});
  std::thread([&] { wake(std::move(waker), how); }).join();
  CHECK(probe.step() == Step{.live = 1});  // the other thread frees nothing
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.freed = taken ? 1U : 0U, .remote_wakes = 1, .live = taken ? 0U : 1U});
  if (!taken) CHECK(handle.try_join() == 7);
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.polls == 1);
}

TEST_CASE("a foreign wake after the executor's death, in every state of the task", "[thread][executor]") {
  const Kind kind = ANY_KIND();
  const How how = ANY_HOW();
  const int state = GENERATE(0, 1, 2);  // waiting, woken and not yet polled, done
  CAPTURE(kind, how, state);
  Ledger ledger;
  Waker waker;
  std::thread::id destroyed_on;
  {
    Executor executor;
    JoinHandle<int> handle = spawn_as(executor, kind,
                                      ScriptedFuture<int>(
                                          ledger,
                                          [&](Context& context) -> Poll<int> {
                                            waker = context.waker();
                                            return state == 2 ? Poll<int>(Ready(1)) : Poll<int>(Pending);
                                          },
                                          [&] { destroyed_on = std::this_thread::get_id(); }));
    handle.detach();
    CHECK(executor.run_until_stalled() == 1);
    if (state == 1) {
      std::thread([copy = waker] { copy.wake_by_ref(); }).join();
    }
  }
  CHECK(ledger.leftovers().empty());
  CHECK(destroyed_on == std::this_thread::get_id());
  std::thread([&] { wake(std::move(waker), how); }).join();
  CHECK(ledger.polls == 1);
}

TEST_CASE("run(): foreign wakes before, during and after the park", "[thread][run]") {
  const How how = ANY_HOW();
  CAPTURE(how);
  for (int round = 0; round < 50; ++round) {
    Ledger ledger;
    int written = 0;
    std::optional<std::thread> thread;
    Waker late;
    const int result = run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
      if (ledger.polls > 1) return Ready(written);
      late = context.waker();
      thread.emplace([&written, how, waker = context.waker()]() mutable {
        written = 42;
        wake(std::move(waker), how);
      });
      if (round % 2 == 0) thread->join();  // the wake is there before the park
      return Pending;
    }));
    if (thread->joinable()) thread->join();
    if (result != 42) FAIL("the poll did not see what the waking thread wrote");
    if (ledger.polls != 2) FAIL("polled " << ledger.polls << " times");
    std::thread([waker = std::move(late)]() mutable { std::move(waker).wake(); }).join();  // the run is over
  }
}
