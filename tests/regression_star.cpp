// The probes of `star`, the single-thread runtime with PinCell and PinWeak, each as a test of ours (see BUGS.md: D07 s1
// s2, B24 s4, G05 s5, F13 s6, G06 s7, A57 s8, C13 s10; s10 itself is in thread_wake_owner_checks.cpp).
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <thread>

#include "assay/events.hpp"
#include "assay/pin.hpp"
#include "assay/reactor.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("D07 star s1: a task that wakes itself is polled again, and nothing panics", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker = ANY_WAKER();
  CAPTURE(kind, waker);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle =
      spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                 if (ledger.polls == 3) return Ready(3);
                 waker == WakerKind::local ? context.local_waker().wake_by_ref() : context.waker().wake_by_ref();
                 return Pending;
               }));
  CHECK(executor.run_until_stalled() == 3);
  const bool local = waker == WakerKind::local;
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 3,
                             .completed = 1,
                             .local_wakes = local ? 2U : 0U,
                             .remote_wakes = local ? 0U : 2U,
                             .enqueued = 3,
                             .live = 1});
  CHECK(handle.try_join() == 3);
}

TEST_CASE("D07 star s2: a stale wake, of a task that is gone, does nothing", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  {
    JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
    CHECK(executor.run_until_stalled() == 1);
  }  // dropped: cancelled
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .cancelled = 1, .enqueued = 1, .live = 1});
  // Its slot must not be given to the next task while the waker is alive: the wake would reach a stranger.
  KeptWaker other(WakerKind::local);
  JoinHandle<int> stranger = spawn_as(executor, kind, waiting_script(ledger, other, ready));
  CHECK(executor.run_until_stalled() == 1);
  waker.wake();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(ledger.polls == 2);
  CHECK_FALSE(stranger.is_finished());
  CHECK(executor.live_tasks() == 1);
  stranger.cancel();
}

TEST_CASE("B24 star s4: a leaf that is polled with another waker forgets the first", "[regression]") {
  Ledger ledger;
  Executor executor;
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> shared = executor.spawn(waiting_script(ledger, waker, ready));
  Ledger first_ledger;
  JoinHandle<void> first = executor.spawn(
      ScriptedFuture<void>(first_ledger, [&, keep = Forever<void>()](Context& context) mutable -> Poll<void> {
        CHECK(keep.poll(context).is_pending());
        CHECK(shared.poll(context).is_pending());
        return Pending;
      }));
  CHECK(executor.run_until_stalled() == 2);
  JoinHandle<int> second =
      executor.spawn([](JoinHandle<int>& handle) -> Async<int> { co_return co_await handle; }, std::ref(shared));
  CHECK(executor.run_until_stalled() == 1);
  ready = true;
  waker.wake();
  CHECK(executor.run_until_stalled() == 2);
  CHECK(first_ledger.polls == 1);
  CHECK(second.try_join() == 7);
}

TEST_CASE("G05 star s5: a closed fd is an answer, not a stall", "[regression]") {
  Executor executor;  // first: its own eventfd must not get the number that is closed
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  REQUIRE(fd >= 0);
  ::close(fd);
  const Readiness readiness = executor.block_on(FdEvent(fd, Interest::read));
  CHECK(readiness.invalid);
  CHECK_FALSE(readiness.readable);
  CHECK(executor.reactor().size() == 0);
}

namespace {

// A reactor whose waits return early, with nothing, as often as it is told; then it is a PollReactor.
class EarlyReactor final : public Reactor {
 public:
  explicit EarlyReactor(int early) : early_(early) {}
  bool wait(int wakeup_fd, std::optional<Duration> timeout) override {
    ++waits;
    if (early_ > 0 && timeout != Duration::zero()) {
      --early_;
      return false;
    }
    return inner_.wait(wakeup_fd, timeout);
  }
  std::size_t size() const noexcept override { return 0; }
  int waits = 0;

 private:
  void added(FdWait&) override {}
  void removed(std::size_t) noexcept override {}
  int early_;
  PollReactor inner_;
};

}  // namespace

TEST_CASE("F13 star s6: a wait that returns early is not taken for a stall, nor for the deadline", "[regression]") {
  const int early = GENERATE(0, 1, 10);
  CAPTURE(early);
  EarlyReactor reactor(early);
  ExecutorOptions options;
  options.reactor = &reactor;
  Executor executor(options);
  const Instant start = executor.now();
  auto nap = []() -> Async<void> { co_await sleep(std::chrono::milliseconds(2)); };
  executor.block_on(nap);
  CHECK(executor.now() - start >= std::chrono::milliseconds(2));
  CHECK(executor.stats().polls == 2);
  CHECK(reactor.waits >= early);
}

TEST_CASE("G06 star s7: a signal during the wait neither ends it nor hangs it", "[regression]") {
  // A real signal: the handler is empty and not restarting, so that the wait is interrupted again and again.
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  Executor executor;
  const Instant start = executor.now();
  const pthread_t owner = ::pthread_self();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done) {
      ::pthread_kill(owner, SIGUSR1);
      std::this_thread::yield();
    }
  });
  auto nap = []() -> Async<void> { co_await sleep(std::chrono::milliseconds(5)); };
  executor.block_on(nap);
  done = true;
  sender.join();
  CHECK(executor.now() - start >= std::chrono::milliseconds(5));
  CHECK(executor.stats().polls == 2);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("A57 star s8: a task that waits at shutdown, and owns itself through its own waker, is destroyed",
          "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  {
    Executor executor;
    // The future owns the waker, the waker keeps the task, and the task owns the future.
    JoinHandle<int> handle =
        spawn_as(executor, kind,
                 ScriptedFuture<int>(ledger, [mine = KeptWaker(waker_kind)](Context& context) mutable -> Poll<int> {
                   mine.keep(context);
                   return Pending;
                 }));
    handle.detach();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(ledger.futures_alive() == 1);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("A57 a PinRc shared by two tasks that wait at shutdown goes with them", "[regression]") {
  Ledger ledger;
  PinWeak<Counted> weak;
  {
    Executor executor;
    PinRc<Counted> shared = PinRc<Counted>::make(ledger, 1);
    weak = PinWeak<Counted>(shared);
    auto holds = [](PinRc<Counted> mine) -> Async<int> {
      co_await Forever<void>();
      co_return mine->value();
    };
    executor.spawn_detached(holds, shared);
    executor.spawn_detached(holds, std::move(shared));
    CHECK(executor.run_until_stalled() == 2);
    CHECK_FALSE(weak.expired());
    CHECK(ledger.values_alive() == 1);
  }
  CHECK(weak.expired());
  CHECK(ledger.leftovers().empty());
}
