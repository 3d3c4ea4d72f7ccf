// Shows that being polled is not being woken: every leaf future, and coroutines and handles around them, stay Pending
// under any number of extra polls, and become Ready at the right one (BUGS B30); and that a future polled after Ready
// aborts.
#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>

#include "assay/events.hpp"
#include "assay/run.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Polls `future` `left` more times than it is woken, by waking itself; yields how often it said Pending.
template <class F>
struct Spurious {
  using Output = int;
  Poll<int> poll(Context& context) {
    auto result = future.poll(context);
    if (result.is_ready()) return Ready(pending);
    ++pending;
    if (left > 0) {
      --left;
      context.local_waker().wake_by_ref();
    }
    return Pending;
  }
  F& future;
  int left;
  int pending = 0;
};

template <class F>
Async<int> with_extra_polls(F& future, int extra) {
  Spurious<F> spurious{future, extra};
  co_return co_await spurious;
}

}  // namespace

TEST_CASE("B30 extra polls do not complete a leaf future", "[spurious][regression]") {
  const int extra = GENERATE(0, 1, 2, 17);
  const int which = GENERATE(0, 1, 2, 3);
  CAPTURE(extra, which);
  VirtualClock clock(Instant(Duration::zero()), false);
  ExecutorOptions options;
  options.clock = &clock;
  Ledger ledger;
  Executor executor(options);
  Probe probe(executor, ledger);
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  REQUIRE(fd >= 0);
  TimeEvent time(Instant(std::chrono::seconds(1)));
  Sleep slept(std::chrono::seconds(1));
  FdEvent event(fd, Interest::read);
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> inner = executor.spawn(waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  JoinHandle<int> handle;
  switch (which) {
    case 0:
      handle = executor.spawn(with_extra_polls(time, extra));
      break;
    case 1:
      handle = executor.spawn(with_extra_polls(slept, extra));
      break;
    case 2:
      handle = executor.spawn(with_extra_polls(event, extra));
      break;
    default:
      handle = executor.spawn(with_extra_polls(inner, extra));
      break;
  }
  const auto polls = static_cast<std::uint64_t>(extra) + 1;
  CHECK(executor.run_until_stalled() == polls);
  CHECK(probe.step() ==
        Step{.spawned = 1, .polls = polls, .local_wakes = polls - 1, .enqueued = polls, .live = 2, .futures = 1});
  CHECK_FALSE(handle.is_finished());
  CHECK(executor.run_until_stalled() == 0);
  clock.advance(std::chrono::seconds(1));
  CHECK(::eventfd_write(fd, 1) == 0);
  ready = true;
  if (which == 3) waker.wake();
  CHECK(executor.run_until_stalled() == (which == 3 ? 2U : 1U));
  CHECK(handle.try_join() == extra + 1);
  inner = JoinHandle<int>();
  waker.drop();
  executor.run_until_stalled();
  CHECK(executor.live_tasks() == 0);
  CHECK(executor.timers().empty());
  CHECK(executor.reactor().size() == 0);
  ::close(fd);
}

TEST_CASE("B30 extra polls of a coroutine do not resume it", "[spurious][regression]") {
  const Kind kind = ANY_KIND();
  const int extra = GENERATE(1, 2, 17);
  CAPTURE(kind, extra);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(WakerKind::local);
  int resumed = 0;
  bool ready = false;
  auto body = [&](ScriptedFuture<int> script) -> Async<int> {
    const int value = co_await script;
    ++resumed;
    co_return value;
  };
  JoinHandle<int> handle = executor.spawn(body, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  for (int i = 0; i < extra; ++i) {
    waker.wake_by_ref();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(resumed == 0);
  }
  const auto n = static_cast<std::uint64_t>(extra);
  CHECK(probe.step() ==
        Step{.spawned = 1, .polls = n + 1, .local_wakes = n, .enqueued = n + 1, .live = 1, .futures = 1});
  ready = true;
  waker.wake_by_ref();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(resumed == 1);
  CHECK(handle.try_join() == 7);
}

TEST_CASE("YieldNow is Pending once, and Ready at any poll after", "[spurious]") {
  const Waker waker;
  Context context(waker);
  YieldNow yield;
  CHECK(yield.poll(context).is_pending());
  CHECK(yield.poll(context).is_ready());
  CHECK(yield.poll(context).is_ready());
}

TEST_CASE("abort: a future polled again after Ready", "[spurious][abort]") {
  check_dies("a future was polled again after it was Ready", [] {
    Executor executor;
    TimeEvent event(executor.now());
    executor.block_on(event);
    executor.block_on(event);
  });
  check_dies("a future was polled again after it was Ready", [] {
    Executor executor;
    const int fd = ::eventfd(1, EFD_NONBLOCK);
    FdEvent event(fd, Interest::read);
    executor.block_on(event);
    executor.block_on(event);
  });
  check_dies("an Async was polled again after it was Ready", [] {
    auto body = []() -> Async<int> { co_return 1; };
    Async<int> async = body();
    run(async);
    run(async);
  });
  check_dies("a JoinHandle was used after it was awaited to its end", [] {
    Executor executor;
    JoinHandle<void> handle = executor.spawn(YieldNow());
    executor.block_on(handle);
    executor.block_on(handle);
  });
  check_dies("a future was polled again after it was Ready", [] {
    Executor executor;
    Timeout<YieldNow> future(std::chrono::seconds(1), YieldNow());
    executor.block_on(future);
    executor.block_on(future);
  });
}

TEST_CASE("abort: reactor futures outside an executor", "[abort]") {
  check_dies("a timer was polled outside an Executor (in run()?); it needs Executor::block_on", [] {
    TimeEvent event(Instant::max());
    run(event);
  });
  check_dies("an FdEvent was polled outside an Executor (in run()?); it needs Executor::block_on",
             [] { run(FdEvent(0, Interest::read)); });
  check_dies("sleep() was polled outside an Executor (in run()?)", [] { run(Sleep(std::chrono::seconds(1))); });
  check_dies("interval() was polled outside an Executor (in run()?)", [] {
    Interval ticks(std::chrono::seconds(1));
    run(ticks.tick());
  });
  check_dies("current_executor() was polled outside an Executor (in run()?)", [] { run(CurrentExecutor()); });
  check_dies("interval() was given a period that is not positive", [] { const Interval ticks(Duration::zero()); });
  check_dies("FdEvent was given a negative file descriptor", [] {
    Executor executor;
    executor.block_on(FdEvent(-1, Interest::read));
  });
}
