// Shows that every leaf future of the runtime, polled again with another waker, wakes the latest one only (BUGS B24),
// keeps one waker at a time, and allows any number of extra polls before and after the change.
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <vector>

#include "assay/events.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using testkit::CountingWaker;

namespace {

// A leaf future, what makes it ready, and how it is polled: from inside a task of `executor`, in a context that wakes
// `waker` instead of that task, so that the future believes that its task has changed.
struct Leaf {
  std::function<bool(Context&)> poll;  // true: Ready
  std::function<void()> fire;          // makes it ready, and lets the executor see that
  bool ends = true;
};

// Polls with a context of the executor whose two wakers are `waker`.
bool poll_with(Executor& executor, Leaf& leaf, const Waker& waker) {
  bool ready = false;
  Ledger ledger;
  executor.block_on(ScriptedFuture<void>(ledger, [&](Context& outer) -> Poll<void> {
    Context inner(waker.as_raw(), waker.as_raw(), outer.executor());
    ready = leaf.poll(inner);
    return Ready();
  }));
  return ready;
}

void check_changed(Executor& executor, Leaf leaf, int extra_polls, std::uint64_t wakes) {
  CAPTURE(extra_polls);
  CountingWaker first;
  CountingWaker second;
  {
    const Waker waker_a = first.waker();
    const Waker waker_b = second.waker();
    for (int i = 0; i <= extra_polls; ++i) {
      CHECK_FALSE(poll_with(executor, leaf, waker_a));
      CHECK(first.clones() == 1);  // kept once, not once per poll
      CHECK(first.drops() == 0);
      CHECK(second.clones() == 0);
    }
    for (int i = 0; i <= extra_polls; ++i) {
      CHECK_FALSE(poll_with(executor, leaf, waker_b));
      CHECK(second.clones() == 1);
      CHECK(second.drops() == 0);
      CHECK(first.drops() == 1);  // let go of
    }
    CHECK(first.wakes() == 0);
    CHECK(second.wakes() == 0);
    leaf.fire();
    CHECK(first.wakes() == 0);
    CHECK(second.wakes() == wakes);
    if (leaf.ends) {
      CHECK(second.drops() == 1);
      CHECK(poll_with(executor, leaf, waker_a));
      CHECK(first.clones() == 1);
    }
    leaf = Leaf();
    CHECK(first.clones() == first.drops());
    CHECK(second.clones() == second.drops());
  }
  CHECK(first.drops() == first.clones() + 1);
  CHECK(second.drops() == second.clones() + 1);
  executor.check_deep();
}

template <class F>
Leaf leaf_of(std::shared_ptr<F> future, std::function<void()> fire, bool ends = true) {
  return Leaf{[future = std::move(future)](Context& context) { return future->poll(context).is_ready(); },
              std::move(fire), ends};
}

}  // namespace

TEST_CASE("B24 a JoinHandle polled with a changed waker wakes the latest", "[waker][regression]") {
  const Kind kind = ANY_KIND();
  const int extra = GENERATE(0, 1, 5);
  const int end = GENERATE(0, 1);  // Ready, cancelled
  CAPTURE(kind, end);
  Ledger ledger;
  Executor executor;
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  auto handle = std::make_shared<JoinHandle<int>>(spawn_as(executor, kind, waiting_script(ledger, waker, ready)));
  executor.run_until_stalled();
  std::weak_ptr<JoinHandle<int>> mine = handle;
  if (end == 0) {
    check_changed(executor,
                  leaf_of(std::move(handle),
                          [&] {
                            ready = true;
                            waker.wake();
                            executor.run_until_stalled();
                          }),
                  extra, 1);
  } else {
    Leaf leaf{[handle](Context& context) {
                try {
                  return handle->poll(context).is_ready();
                } catch (const TaskCancelled&) {
                  return true;
                }
              },
              [mine] { mine.lock()->cancel(); }};
    handle.reset();
    check_changed(executor, std::move(leaf), extra, 1);
    waker.drop();
  }
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("B24 TimeEvent, Sleep, Timeout and Interval::Tick polled with a changed waker wake the latest",
          "[waker][regression]") {
  const int extra = GENERATE(0, 1, 5);
  const int which = GENERATE(0, 1, 2, 3);
  CAPTURE(which);
  VirtualClock clock(Instant(Duration::zero()), false);
  ExecutorOptions options;
  options.clock = &clock;
  Executor executor(options);
  const auto fire = [&] {
    clock.advance(std::chrono::seconds(10));
    executor.run_until_stalled();
  };
  const Duration ten = std::chrono::seconds(10);
  switch (which) {
    case 0:
      check_changed(executor, leaf_of(std::make_shared<TimeEvent>(Instant(ten)), fire), extra, 1);
      break;
    case 1:
      check_changed(executor, leaf_of(std::make_shared<Sleep>(ten), fire), extra, 1);
      break;
    case 2: {
      // The future inside is one that nothing wakes: what is kept of it is the test's, not the clock's.
      struct Never {
        using Output = void;
        Poll<void> poll(Context&) { return Pending; }
      };
      check_changed(executor, leaf_of(std::make_shared<Timeout<Never>>(ten, Never()), fire), extra, 1);
      break;
    }
    default: {
      Interval ticks(ten);
      {
        // The first tick is due at once.
        Leaf first = leaf_of(std::make_shared<Interval::Tick>(ticks), {});
        const Waker waker;
        CHECK_FALSE(poll_with(executor, first, waker));
        executor.run_until_stalled();
        CHECK(poll_with(executor, first, waker));
      }
      check_changed(executor, leaf_of(std::make_shared<Interval::Tick>(ticks), fire), extra, 1);
      break;
    }
  }
  CHECK(executor.timers().empty());
}

TEST_CASE("B24 an FdEvent polled with a changed waker wakes the latest", "[waker][regression]") {
  const int extra = GENERATE(0, 1, 5);
  Executor executor;
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  REQUIRE(fd >= 0);
  check_changed(executor,
                leaf_of(std::make_shared<FdEvent>(fd, Interest::read),
                        [&] {
                          CHECK(::eventfd_write(fd, 1) == 0);
                          executor.run_until_stalled();
                        }),
                extra, 1);
  CHECK(executor.reactor().size() == 0);
  ::close(fd);
}

TEST_CASE("B24 Forever keeps the latest waker, and wakes none", "[waker][regression]") {
  const int extra = GENERATE(0, 1, 5);
  Executor executor;
  check_changed(executor,
                leaf_of(
                    std::make_shared<Forever<void>>(), [] {}, false),
                extra, 0);
}

TEST_CASE("B24 a task that hands one future from poller to poller: only the last poller is polled again",
          "[waker][regression]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> shared = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  Ledger first_ledger;
  Ledger second_ledger;
  // Both poll the same handle; the first forgets to go on when it is not woken, and must not be.
  JoinHandle<int> first = executor.spawn(
      ScriptedFuture<int>(first_ledger, [&, keep = Forever<void>()](Context& context) mutable -> Poll<int> {
        CHECK(keep.poll(context).is_pending());
        return shared.poll(context);
      }));
  CHECK(executor.run_until_stalled() == 2);
  JoinHandle<int> second = executor.spawn(
      ScriptedFuture<int>(second_ledger, [&](Context& context) -> Poll<int> { return shared.poll(context); }));
  CHECK(executor.run_until_stalled() == 1);
  ready = true;
  waker.wake();
  CHECK(executor.run_until_stalled() == 2);
  CHECK(first_ledger.polls == 1);
  CHECK(second_ledger.polls == 2);
  CHECK(second.try_join() == 7);
  CHECK_FALSE(first.is_finished());
  executor.check_deep();
}
