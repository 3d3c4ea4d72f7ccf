// The probes of nexus-async-rt 0.1.0 and the bugs that its own repository records, each as a test of ours (see BUGS.md:
// A03 n1, A04 n2, A05 n5, A06, A08 to A14, B04 n3, B24, D06 n4, E04, E13, F03, F10 n8, H07, I01 n6).
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "assay/oneshot.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("A03 nexus n1: wake_by_ref then Ready in the same poll", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker = ANY_WAKER();
  const bool detached = GENERATE(true, false);
  CAPTURE(kind, waker, detached);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  JoinHandle<int> handle =
      spawn_as(executor, kind, ScriptedFuture<int>(ledger, [waker](Context& context) -> Poll<int> {
                 waker == WakerKind::local ? context.local_waker().wake_by_ref() : context.waker().wake_by_ref();
                 return Ready(1);
               }));
  if (detached) handle.detach();
  CHECK(executor.run_until_stalled() == 1);
  const bool local = waker == WakerKind::local;
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 1,
                             .completed = 1,
                             .freed = detached ? 1U : 0U,
                             .local_wakes = local ? 1U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = 1,
                             .live = detached ? 0U : 1U});
  // Its slot is taken by another, which a stale queue entry would reach.
  bool polled = false;
  JoinHandle<int> next = executor.spawn(ScriptedFuture<int>(ledger, [&](Context&) -> Poll<int> {
    CHECK_FALSE(std::exchange(polled, true));
    return Ready(2);
  }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(next.try_join() == 2);
}

TEST_CASE("A04 nexus n2: the executor's end drops the futures, and leaves the memory to the wakers", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  const int count = GENERATE(1, 3);
  CAPTURE(kind, waker_kind, count);
  Ledger ledger;
  std::vector<KeptWaker> wakers(static_cast<std::size_t>(count), KeptWaker(waker_kind));
  bool never = false;
  {
    Executor executor;
    for (KeptWaker& waker : wakers) spawn_as(executor, kind, waiting_script(ledger, waker, never)).detach();
    CHECK(executor.run_until_stalled() == static_cast<std::uint64_t>(count));
  }
  CHECK(ledger.leftovers().empty());
  for (KeptWaker& waker : wakers) {
    waker.wake_by_ref();
    waker.wake_a_copy();
    waker.wake();
  }
  CHECK(ledger.polls == static_cast<std::uint64_t>(count));
}

TEST_CASE("A05 nexus n5: a local's destructor wakes its own task while it completes", "[regression]") {
  const WakerKind waker_kind = ANY_WAKER();
  const bool future_local = GENERATE(false, true);  // of the future's, or of the coroutine around it
  const bool throws = GENERATE(false, true);
  CAPTURE(waker_kind, future_local, throws);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  int woken = 0;
  const auto wake = [&] {
    ++woken;
    waker.wake_by_ref();
    waker.wake();
  };
  const auto poll = [&](Context& context) -> Poll<int> {
    waker.keep(context);
    if (throws) throw std::runtime_error("on purpose");
    return Ready(1);
  };
  JoinHandle<int> handle;
  if (future_local) {
    handle = executor.spawn(ScriptedFuture<int>(ledger, poll, wake));
  } else {
    auto body = [](ScriptedFuture<int> script, OnExit local) -> Async<int> {
      const OnExit mine = std::move(local);
      co_return co_await script;
    };
    handle = executor.spawn(body, ScriptedFuture<int>(ledger, poll), OnExit(wake));
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(woken == 1);
  const bool local = waker_kind == WakerKind::local;
  CHECK(probe.step() == Step{.spawned = 1,
                             .polls = 1,
                             .completed = throws ? 0U : 1U,
                             .threw = throws ? 1U : 0U,
                             .local_wakes = local ? 2U : 0U,
                             .remote_wakes = local ? 0U : 1U,
                             .enqueued = 1,
                             .live = 1});
  if (throws) {
    CHECK_THROWS_AS(handle.try_join(), std::runtime_error);
  } else {
    CHECK(handle.try_join() == 1);
  }
  CHECK(probe.step() == Step{.freed = 1});
}

TEST_CASE("A06 nexus PR 130: cancel while a timer and another's waker hold the task", "[regression]") {
  const bool drop = GENERATE(false, true);
  CAPTURE(drop);
  VirtualClock clock(Instant(Duration::zero()), false);
  ExecutorOptions options;
  options.clock = &clock;
  Executor executor(options);
  Ledger ledger;
  Probe probe(executor, ledger);
  KeptWaker kept(WakerKind::any_thread);
  auto body = [](KeptWaker& waker) -> Async<void> {
    struct Keep {
      using Output = void;
      Poll<void> poll(Context& context) {
        waker.keep(context);
        return Ready();
      }
      KeptWaker& waker;
    } keep{waker};
    co_await keep;
    co_await sleep(std::chrono::hours(1));
  };
  JoinHandle<void> handle = executor.spawn(body, std::ref(kept));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(executor.timers().size() == 1);
  if (drop) {
    handle = JoinHandle<void>();
  } else {
    handle.cancel();
  }
  CHECK(executor.timers().empty());  // F10 nexus n8: no entry stays behind until its deadline
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .cancelled = 1, .enqueued = 1, .live = 1});
  JoinHandle<int> next = executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
  clock.advance(std::chrono::hours(2));
  kept.wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(next.try_join() == 1);
  CHECK(executor.live_tasks() == (drop ? 0U : 1U));
}

TEST_CASE("F10 nexus n8: a sleep that is dropped leaves no timer and no waker behind", "[regression]") {
  const int count = GENERATE(1, 1000);
  CAPTURE(count);
  VirtualClock clock;
  ExecutorOptions options;
  options.clock = &clock;
  Executor executor(options);
  auto sleeps = [](int rounds) -> Async<int> {
    for (int i = 0; i < rounds; ++i) {
      // Dropped by the timeout's end, before its deadline.
      auto result = co_await timeout(std::chrono::seconds(1), sleep(std::chrono::hours(24)));
      if (result) co_return -1;
    }
    co_return rounds;
  };
  CHECK(executor.block_on(sleeps, count) == count);
  CHECK(executor.timers().empty());
  CHECK(executor.live_tasks() == 0);
  executor.check_deep();
}

TEST_CASE("A10 nexus PR 163: a drain frees no task that somebody still holds", "[regression]") {
  const Kind kind = ANY_KIND();
  const bool handle_held = GENERATE(false, true);
  const bool local_held = GENERATE(false, true);
  CAPTURE(kind, handle_held, local_held);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker local(WakerKind::local);
  KeptWaker remote(WakerKind::any_thread);
  std::optional<JoinHandle<int>> handle =
      spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                 local.keep(context);
                 remote.keep(context);
                 return Ready(1);
               }));
  CHECK(executor.run_until_stalled() == 1);
  if (!handle_held) handle.reset();
  if (!local_held) local.drop();
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .completed = 1, .enqueued = 1, .live = 1});
  std::thread([&] { remote.wake(); }).join();  // the inbox has the task, done, with no Waker left
  CHECK(executor.run_until_stalled() == 0);
  const bool held = handle_held || local_held;
  CHECK(probe.step() == Step{.freed = held ? 0U : 1U, .remote_wakes = 1, .live = held ? 1U : 0U});
  handle.reset();
  local.drop();
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("A11 A12 nexus 168 BUG-2: a oneshot whose receiver's task is gone, and whose waker was kept: no use, no leak",
          "[regression]") {
  const bool send_first = GENERATE(false, true);
  CAPTURE(send_first);
  Ledger ledger;
  std::optional<OneshotSender<Counted>> sender;
  {
    Executor executor;
    auto [out, in] = oneshot<Counted>();
    sender.emplace(std::move(out));
    JoinHandle<Counted> handle = executor.spawn(
        [](OneshotReceiver<Counted> receiver) -> Async<Counted> {
          auto value = co_await receiver;
          co_return std::move(*value);
        },
        std::move(in));
    CHECK(executor.run_until_stalled() == 1);
    handle.cancel();  // its waker lies in the channel
    CHECK(executor.run_until_stalled() == 0);
    if (send_first) {
      static_cast<void>(std::move(*sender).send(Counted(ledger, 1)));
      sender.reset();
    }
    handle = JoinHandle<Counted>();
    executor.run_until_stalled();
    CHECK(executor.live_tasks() == 0);
  }
  if (!send_first) static_cast<void>(std::move(*sender).send(Counted(ledger, 1)));
  sender.reset();
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("A13 nexus 169 BUG-3: a hundred polls with a changed waker allocate nothing", "[regression]") {
  Executor executor;
  Ledger ledger;
  KeptWaker waker(WakerKind::local);
  bool never = false;
  JoinHandle<int> handle = executor.spawn(waiting_script(ledger, waker, never));
  executor.run_until_stalled();
  const auto before = testkit::allocation_counts();
  const Waker first;
  for (int i = 0; i < 100; ++i) {
    Context context(first);
    static_cast<void>(handle.poll(context));
    executor.run_until_stalled();
  }
  CHECK(testkit::allocation_counts().news == before.news);
}

TEST_CASE("A14 nexus PR 147: what is freed outside a poll is freed, and counted", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  Executor executor;
  for (int round = 0; round < 100; ++round) {
    KeptWaker waker(waker_kind);
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        waker.keep(context);
                                        return Ready(1);
                                      }));
    executor.run_until_stalled();
    if (round % 2 == 0) handle.detach();
    waker.drop();  // outside any poll
  }
  executor.run_until_stalled();
  CHECK(executor.live_tasks() == 0);
  CHECK(executor.stats().freed == 100);
  executor.check_deep();
}

TEST_CASE("B04 nexus n3: a wake outside the run loop is not lost", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  KeptWaker waker(waker_kind);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});
  for (int i = 0; i < 3; ++i) {
    waker.wake_by_ref();
    CHECK(executor.run_until_stalled() == 1);  // each time, not only the first
  }
  ready = true;
  waker.wake_by_ref();
  CHECK(executor.block_on(handle) == 7);
  CHECK(ledger.polls == 5);
}

TEST_CASE("D06 nexus n4: an exception in a poll leaves the run loop, its list and its flags whole", "[regression]") {
  const Kind kind = ANY_KIND();
  const int entry = GENERATE(0, 1, 2);  // run_until_stalled, poll_once, block_on
  CAPTURE(kind, entry);
  Ledger ledger;
  Executor executor;
  std::vector<JoinHandle<int>> handles;
  for (int i = 0; i < 5; ++i) {
    handles.push_back(spawn_as(executor, kind, ScriptedFuture<int>(ledger, [i](Context& context) -> Poll<int> {
                                 if (i % 2 == 0) throw std::runtime_error("on purpose");
                                 static_cast<void>(context);
                                 return Ready(i);
                               })));
  }
  const auto go = [&] {
    switch (entry) {
      case 0:
        executor.run_until_stalled();
        break;
      case 1:
        while (executor.poll_once()) executor.check_deep();
        break;
      default:
        CHECK_THROWS_AS(executor.block_on(handles.at(4)), std::runtime_error);
        break;
    }
  };
  go();
  executor.check_deep();
  CHECK(executor.stats().threw == (entry == 2 ? 4U : 3U));
  for (int i = 0; i < 4; ++i) {
    if (i % 2 == 0) {
      CHECK_THROWS_AS(handles.at(static_cast<std::size_t>(i)).try_join(), std::runtime_error);
    } else {
      CHECK(handles.at(static_cast<std::size_t>(i)).try_join() == i);
    }
  }
  // It can be entered again, from every side.
  CHECK(executor.run_until_stalled() == 0);
  CHECK_FALSE(executor.poll_once());
  executor.block_on(YieldNow());
  handles.clear();
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("I01 nexus n6: a task's reference counts abort before they wrap", "[regression][abort]") {
  check_dies("too many LocalWakers of one task are alive", [] {
    Executor executor;
    Ledger ledger;
    LocalWaker waker;
    JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
      waker = context.local_waker();
      return Pending;
    }));
    executor.run_until_stalled();
    // Four thousand million clones would take a while: the counter is set to its end.
    auto& header = static_cast<audited::TaskHeader&>(*static_cast<audited::RemoteNode*>(waker.as_raw().data));
    header.local_wakers = std::numeric_limits<std::uint32_t>::max();
    const LocalWaker copy = waker;
  });
  check_dies("too many Wakers of one task are alive", [] {
    Executor executor;
    Ledger ledger;
    Waker waker;
    JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
      waker = context.waker();
      return Pending;
    }));
    executor.run_until_stalled();
    auto& node = *static_cast<audited::RemoteNode*>(waker.as_raw().data);
    node.word.fetch_add_relaxed(audited::Inbox::one * audited::Inbox::max_count);
    const Waker copy = waker;
  });
}

TEST_CASE("F03 nexus 1cfe4ef: the longest sleep does not overflow", "[regression]") {
  VirtualClock clock(Instant(std::chrono::hours(1)), false);
  ExecutorOptions options;
  options.clock = &clock;
  Executor executor(options);
  JoinHandle<void> handle = executor.spawn([]() -> Async<void> { co_await sleep(std::chrono::hours::max()); });
  CHECK(executor.run_until_stalled() == 1);
  CHECK(executor.timers().next_deadline() == Instant::max());
  clock.advance(std::chrono::hours(24 * 365 * 100));
  CHECK(executor.run_until_stalled() == 0);
  CHECK_FALSE(handle.is_finished());
}

TEST_CASE("H07 nexus 196: a task that yields until another thread is done sees that it is", "[regression]") {
  std::atomic<bool> done{false};
  std::thread thread([&] { done = true; });
  Executor executor;
  auto spin = [](std::atomic<bool>& flag) -> Async<int> {
    int turns = 0;
    while (!flag) {
      ++turns;
      co_await yield_now();
      std::this_thread::yield();
    }
    co_return turns;
  };
  CHECK(executor.block_on(spin, std::ref(done)) >= 0);
  thread.join();
  CHECK(executor.live_tasks() == 0);
}

TEST_CASE("E13 nexus 0.5: what foreign references keep is counted, while the executor lives", "[regression]") {
  const Kind kind = ANY_KIND();
  CAPTURE(kind);
  Ledger ledger;
  Executor executor;
  std::vector<Waker> foreign;
  for (int i = 0; i < 3; ++i) {
    JoinHandle<int> handle = spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
                                        foreign.push_back(context.waker());
                                        return Ready(1);
                                      }));
    executor.run_until_stalled();
  }
  for (std::size_t left = 3; left > 0; --left) {
    CHECK(executor.live_tasks() == left);
    CHECK(executor.tasks().empty());  // they are done: only their memory is in use
    std::thread([last = std::move(foreign.back())] {}).join();
    foreign.pop_back();
    executor.run_until_stalled();
  }
  CHECK(executor.live_tasks() == 0);
}
