// Executors in thread_local variables, destroyed at thread exit, before or after whatever else the thread keeps there:
// wakers, handles, timers, coroutines, the cache of coroutine frames (BUGS.md E01 to E04).
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include <catch2/catch_test_macros.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/ledger.hpp"
#include "reactor_files.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Context;
using assay::Executor;
using assay::FdEvent;
using assay::Interest;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::TimeEvent;
using assay::Waker;
using assay::test::check_dies;
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::Counted;
using assay::testkit::Ledger;

namespace {

// Runs `body` on a thread of its own, to the end of that thread's thread_local variables.
template <class Body>
void on_a_thread(Body&& body) {
  std::thread(std::forward<Body>(body)).join();
}

// Calls a function when the thread's variables are destroyed.
struct AtExit {
  std::function<void()> action;
  ~AtExit() {
    if (action) action();
  }
};

// Holds a counted local over a suspension that never ends by itself.
Async<void> hold(Ledger& ledger, int fd, int depth) {
  const Counted local(ledger, depth);
  if (depth > 0) {
    co_await hold(ledger, fd, depth - 1);
  } else {
    co_await FdEvent(fd, Interest::read);
  }
}

struct KeepWaker {
  using Output = void;
  std::optional<Waker>& waker;
  Poll<void> poll(Context& context) {
    waker = context.waker();
    return Pending;
  }
};

// Polls all three, keeps both kinds of waker, and is never Ready.
struct PollAll {
  using Output = void;
  std::optional<LocalWaker>& local;
  std::optional<Waker>& any;
  std::optional<TimeEvent>& first;
  std::optional<TimeEvent>& second;
  std::optional<FdEvent>& third;
  Poll<void> poll(Context& context) {
    local = context.local_waker();
    any = context.waker();
    static_cast<void>(first->poll(context));
    static_cast<void>(second->poll(context));
    static_cast<void>(third->poll(context));
    return Pending;
  }
};

}  // namespace

TEST_CASE("a thread_local executor is destroyed with all that waits in it", "[thread_local]") {
  Ledger ledger;
  Pipe pipe;
  const std::size_t files = assay::test::open_files();
  for (const bool frames_first : {false, true}) {
    on_a_thread([&] {
      // The cache of frames is made at the first coroutine: before the executor, or by it.
      if (frames_first) {
        Executor throw_away;
        throw_away.block_on(assay::sleep(0ns));
        throw_away.block_on([]() -> Async<void> { co_await assay::yield_now(); });
      }
      thread_local Executor executor;
      for (int i = 0; i < 20; ++i) executor.spawn_detached(hold(ledger, pipe.reader(), i));
      executor.spawn_detached(assay::sleep(1h));
      executor.run_until_stalled();
      CHECK(state_of(executor) == State{.timers = 1, .fds = 20, .tasks = 21, .polls = 21});
      CHECK(ledger.values_alive() == 210);
    });
    CHECK(ledger.leftovers().empty());
  }
  CHECK(assay::test::open_files() == files);
}

TEST_CASE("thread_local handles, wakers and events around a thread_local executor, on either side", "[thread_local]") {
  Pipe pipe;
  Ledger ledger;
  const std::size_t files = assay::test::open_files();
  on_a_thread([&] {
    // Destroyed in reverse: those that are declared first outlive the executor.
    thread_local std::optional<JoinHandle<void>> outliving_handle;
    thread_local std::optional<LocalWaker> outliving_local_waker;
    thread_local std::optional<Waker> outliving_waker;
    thread_local std::optional<TimeEvent> outliving_timer;
    thread_local std::optional<FdEvent> outliving_fd;
    thread_local std::optional<Async<void>> outliving_coroutine;
    thread_local Executor executor;
    thread_local std::optional<JoinHandle<void>> handle;
    thread_local std::optional<TimeEvent> timer;

    outliving_timer.emplace(executor.now() + 1h);
    timer.emplace(executor.now() + 2h);
    outliving_fd.emplace(pipe.reader(), Interest::read);
    outliving_coroutine.emplace(hold(ledger, pipe.reader(), 3));
    outliving_handle.emplace(executor.spawn(hold(ledger, pipe.reader(), 2)));
    handle.emplace(executor.spawn(hold(ledger, pipe.reader(), 1)));
    executor.spawn_detached(PollAll{outliving_local_waker, outliving_waker, outliving_timer, timer, outliving_fd});
    executor.run_until_stalled();
    CHECK(state_of(executor) == State{.timers = 2, .fds = 3, .tasks = 3, .polls = 3});
  });
  CHECK(ledger.leftovers().empty());
  CHECK(assay::test::open_files() == files);
}

TEST_CASE("a wake from a thread_local's destructor: of an executor that lives, and of one that is gone",
          "[thread_local]") {
  const std::size_t files = assay::test::open_files();
  std::optional<Waker> waker;
  bool woken_living = false;
  bool woken_gone = false;
  on_a_thread([&] {
    thread_local AtExit after;  // destroyed last
    thread_local Executor executor;
    thread_local AtExit before;  // destroyed first
    executor.spawn_detached(KeepWaker{waker});
    executor.run_until_stalled();
    before.action = [&] {
      waker->wake_by_ref();
      woken_living = executor.run_until_stalled() == 1;  // polled once more
    };
    after.action = [&] {
      waker->wake_by_ref();
      const Waker copy = *waker;
      copy.wake_by_ref();
      std::move(*waker).wake();
      waker.reset();
      woken_gone = true;
    };
  });
  CHECK(woken_living);
  CHECK(woken_gone);
  CHECK(assay::test::open_files() == files);
}

TEST_CASE("a wake of another thread's executor, from a thread_local's destructor", "[thread_local]") {
  Executor executor;
  std::atomic<bool> done = false;
  std::optional<Waker> waker;
  struct Wait {
    using Output = void;
    std::atomic<bool>& done;
    std::optional<Waker>& waker;
    Poll<void> poll(Context& context) {
      if (done.load()) return Ready();
      waker = context.waker();
      return Pending;
    }
  };
  JoinHandle<void> task = executor.spawn(Wait{done, waker});
  executor.run_until_stalled();
  std::thread thread([&, mine = std::exchange(waker, std::nullopt)]() mutable {
    thread_local std::optional<Waker> kept;
    thread_local AtExit at_exit;
    kept = std::move(mine);
    at_exit.action = [&done] {
      done.store(true);
      std::move(*kept).wake();
    };
  });
  executor.block_on(task);
  thread.join();
  executor.run_until_stalled();
  CHECK(executor.stats().remote_wakes == 1);
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("destructors of a thread's variables may spawn, run and destroy executors", "[thread_local]") {
  Ledger ledger;
  Pipe pipe;
  int ran = 0;
  on_a_thread([&] {
    // Made before the first coroutine frame of this thread, so destroyed after its cache is closed: frames then come
    // from malloc and go back there.
    thread_local AtExit last;
    last.action = [&] {
      Executor executor;
      ran += executor.block_on(
          [](Ledger& counts) -> Async<int> {
            const Counted local(counts, 1);
            co_await assay::sleep(0ns);
            co_return 1;
          },
          std::ref(ledger));
      executor.spawn_detached(hold(ledger, pipe.reader(), 5));
      executor.run_until_stalled();
    };
    thread_local Executor executor;
    thread_local AtExit first;
    first.action = [&] {
      executor.spawn_detached(hold(ledger, pipe.reader(), 4));
      executor.run_until_stalled();
      executor.spawn_detached(hold(ledger, pipe.reader(), 3));  // never polled
    };
    executor.block_on(assay::yield_now());
  });
  CHECK(ran == 1);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a task's destructor that runs at thread exit may wake, spawn and cancel", "[thread_local]") {
  Ledger ledger;
  int destroyed = 0;
  on_a_thread([&] {
    thread_local JoinHandle<void> other;  // outlives the executor
    thread_local Executor executor;
    struct Busy {
      Ledger& ledger;
      int& destroyed;
      std::optional<Waker> waker;
      Busy(Ledger& counts, int& count) : ledger(counts), destroyed(count) {}
      Busy(const Busy&) = delete;
      ~Busy() {
        ++destroyed;
        waker->wake_by_ref();
        const JoinHandle<void> cancelled = std::move(other);
        executor.spawn_detached(
            [](Ledger& counts) -> Async<void> {
              const Counted local(counts, 2);
              co_return;
            },
            std::ref(ledger));
      }
    };
    const auto keep_busy = [](Ledger& counts, int& count) -> Async<void> {
      Busy busy(counts, count);
      struct Take {
        using Output = void;
        Busy& busy;
        Poll<void> poll(Context& context) {
          busy.waker = context.waker();
          return Pending;
        }
      } take{busy};
      co_await take;
    };
    other = executor.spawn(assay::sleep(1h));
    for (int i = 0; i < 4; ++i) executor.spawn_detached(keep_busy, std::ref(ledger), std::ref(destroyed));
    executor.run_until_stalled();
  });
  CHECK(destroyed == 4);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("many threads, each with an executor of its own that lasts until the thread ends", "[thread_local]") {
  const std::size_t files = assay::test::open_files();
  std::atomic<int> good = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&good] {
        thread_local Executor executor;
        const int value = executor.block_on(
            [](Executor& own) -> Async<int> {
              JoinHandle<void> forgotten = own.spawn(assay::sleep(1h));
              forgotten.detach();
              co_await assay::sleep(100us);
              co_return 1;
            },
            std::ref(executor));
        good += value;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(good.load() == 40);
  CHECK(assay::test::open_files() == files);
}

TEST_CASE("an executor that another thread destroys aborts with a line", "[thread_local]") {
  check_dies("an Executor was destroyed on another thread than the one that made it", [] {
    auto executor = std::make_unique<Executor>();
    std::thread([&executor] { executor.reset(); }).join();
  });
}
