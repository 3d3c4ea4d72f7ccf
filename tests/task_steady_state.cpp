// Shows the steady state: a million tasks spawned and joined in constant memory, and no call of malloc per spawn and
// join, yield, wake, child await, cancel, timer and fd wait, once the pools are warm.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/run.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"

using namespace assay;
using namespace assay::test;

namespace {

constexpr std::uint64_t warm_up = 100;

Async<std::uint64_t> one() { co_return 1; }
Async<std::uint64_t> one_later() {
  co_await yield_now();
  co_return 1;
}

constexpr bool recycles = !assay::audited::FrameClasses::pass_through;

// Runs `round` until the pools are warm, and then checks that `count` more of it take nothing from malloc.
template <class Round>
void check_no_malloc(std::uint64_t count, Round&& round) {
  if (!recycles) SKIP("the frame pool passes through in this build");
  for (int i = 0; i < 100; ++i) round();
  const auto before = testkit::allocation_counts();
  for (std::uint64_t i = 0; i < count; ++i) round();
  const auto after = testkit::allocation_counts();
  CHECK(after.news == before.news);
  CHECK(after.deletes == before.deletes);
}

}  // namespace

TEST_CASE("a million tasks are spawned and joined in constant memory", "[task][slow]") {
  const std::uint64_t count = scaled(1'000'000, 1000);
  const bool later = GENERATE(false, true);
  CAPTURE(later);
  if (!recycles) SKIP("the frame pool passes through in this build");
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::size_t most_live = 0;
  std::uint64_t news = 0;
  std::uint64_t deletes = 0;
  audited::FramePoolStats frames{};
  auto body = [&](Executor& mine, std::uint64_t rounds) -> Async<std::uint64_t> {
    std::uint64_t sum = 0;
    testkit::AllocationCounts before{};
    audited::FramePoolStats frames_before{};
    for (std::uint64_t i = 0; i < warm_up + rounds; ++i) {
      if (i == warm_up) {
        before = testkit::allocation_counts();
        frames_before = audited::frame_pool_stats();
        sum = 0;
      }
      JoinHandle<std::uint64_t> handle = later ? mine.spawn(one_later()) : mine.spawn(one());
      most_live = std::max(most_live, mine.live_tasks());
      sum += co_await handle;
    }
    const testkit::AllocationCounts after = testkit::allocation_counts();
    news = after.news - before.news;
    deletes = after.deletes - before.deletes;
    frames = audited::frame_pool_stats();
    frames.taken -= frames_before.taken;
    frames.freed -= frames_before.freed;
    frames.allocated -= frames_before.allocated;
    co_return sum;
  };
  CHECK(executor.block_on(body, std::ref(executor), count) == count);
  CHECK(news == 0);
  CHECK(deletes == 0);
  CHECK(most_live == 2);
  CHECK(frames.taken == count);
  CHECK(frames.freed == count);
  CHECK(frames.allocated == 0);
  const std::uint64_t all = count + warm_up;
  const std::uint64_t own = later ? 2 * all : all;  // polls of the children
  CHECK(probe.step() == Step{.spawned = all + 1,
                             .polls = own + all + 1,
                             .completed = all + 1,
                             .freed = all + 1,
                             .local_wakes = all + (later ? all : 0),
                             .enqueued = own + all + 1});
}

TEST_CASE("a thousand tasks at a time, again and again", "[task][slow]") {
  const std::uint64_t rounds = scaled(200, 5);
  if (!recycles) SKIP("the frame pool passes through in this build");
  Executor executor;
  std::vector<JoinHandle<std::uint64_t>> handles;
  handles.reserve(1000);
  std::uint64_t sum = 0;
  const auto round = [&] {
    for (int i = 0; i < 1000; ++i) handles.push_back(executor.spawn(one_later()));
    executor.run_until_stalled();
    for (JoinHandle<std::uint64_t>& handle : handles) sum += *handle.try_join();
    handles.clear();
  };
  for (int i = 0; i < 3; ++i) round();
  const auto before = testkit::allocation_counts();
  const audited::FramePoolStats frames = audited::frame_pool_stats();
  for (std::uint64_t i = 0; i < rounds; ++i) round();
  const auto after = testkit::allocation_counts();
  CHECK(sum == (rounds + 3) * 1000);
  CHECK(executor.live_tasks() == 0);
  executor.check_deep();
  // Level 3 keeps only a short queue of frames; task memory itself is steady in every build.
  const std::uint64_t frame_mallocs = audited::frame_pool_stats().allocated - frames.allocated;
  CHECK(after.news - before.news == frame_mallocs);
  if (ASSAY_HARDENING_LEVEL < 3) CHECK(frame_mallocs == 0);
}

TEST_CASE("no malloc per operation, in steady state", "[task]") {
  const std::uint64_t count = scaled(2000, 100);
  Executor executor;
  Ledger ledger;
  KeptWaker waker(WakerKind::local);
  KeptWaker remote(WakerKind::any_thread);
  bool never = false;

  SECTION("yield") {
    // In one block_on, so that only the yields are counted.
    auto body = [&]() -> Async<bool> {
      for (int i = 0; i < 100; ++i) co_await yield_now();
      const auto before = testkit::allocation_counts();
      for (std::uint64_t i = 0; i < count; ++i) co_await yield_now();
      co_return testkit::allocation_counts().news == before.news;
    };
    CHECK(executor.block_on(body));
  }
  SECTION("a child that returns at once, and one that waits") {
    auto body = [&]() -> Async<std::uint64_t> {
      std::uint64_t sum = 0;
      for (int i = 0; i < 50; ++i) {
        sum += co_await one();
        sum += co_await one_later();
      }
      co_return sum;
    };
    check_no_malloc(count / 100, [&] {
      if (executor.block_on(body) != 100) std::abort();
    });
  }
  SECTION("spawn, wake and join by hand") {
    check_no_malloc(count, [&] {
      JoinHandle<std::uint64_t> handle = executor.spawn("worker", one_later());
      executor.run_until_stalled();
      if (handle.try_join() != 1U) std::abort();
    });
  }
  SECTION("spawn_detached") {
    check_no_malloc(count, [&] {
      executor.spawn_detached(one_later());
      executor.run_until_stalled();
    });
  }
  SECTION("cancel of a waiting task, with wakers of both kinds kept") {
    struct Waits {
      using Output = int;
      Poll<int> poll(Context& context) {
        local = context.local_waker();
        any = context.waker();
        return Pending;
      }
      LocalWaker local{};
      Waker any{};
    };
    check_no_malloc(count, [&] {
      JoinHandle<int> handle = executor.spawn(Waits());
      executor.run_until_stalled();
      handle.cancel();
    });
  }
  SECTION("wakes of both kinds") {
    JoinHandle<int> handle = executor.spawn(waiting_script(ledger, waker, never));
    JoinHandle<int> other = executor.spawn(waiting_script(ledger, remote, never));
    executor.run_until_stalled();
    check_no_malloc(count, [&] {
      waker.wake_by_ref();
      remote.wake_by_ref();
      waker.wake_a_copy();
      remote.wake_a_copy();
      executor.run_until_stalled();
    });
    CHECK(ledger.polls == 2 + 2 * (count + 100));
  }
  SECTION("a timer armed and cancelled, and one that fires") {
    VirtualClock clock;
    ExecutorOptions options;
    options.clock = &clock;
    Executor timed(options);
    auto nap = []() -> Async<void> { co_await sleep(std::chrono::milliseconds(1)); };
    check_no_malloc(count, [&] {
      JoinHandle<void> handle = timed.spawn(nap);
      JoinHandle<void> cancelled = timed.spawn(nap);
      timed.run_until_stalled();
      cancelled.cancel();
      clock.advance(std::chrono::milliseconds(1));
      timed.run_until_stalled();
      if (!handle.is_finished()) std::abort();
    });
  }
  SECTION("a wait for a file descriptor, ended by an event, and cancelled") {
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    REQUIRE(fd >= 0);
    auto wait = [](int number) -> Async<void> { co_await FdEvent(number, Interest::read); };
    check_no_malloc(count, [&] {
      JoinHandle<void> handle = executor.spawn(wait, fd);
      JoinHandle<void> cancelled = executor.spawn(wait, fd);
      executor.run_until_stalled();
      cancelled.cancel();
      ::eventfd_write(fd, 1);
      executor.run_until_stalled();
      eventfd_t value = 0;
      ::eventfd_read(fd, &value);
      if (!handle.is_finished()) std::abort();
    });
    ::close(fd);
  }
}

TEST_CASE("run() allocates once", "[task]") {
  if (!recycles) SKIP("the frame pool passes through in this build");
  for (int i = 0; i < 30; ++i) CHECK(run(one()) == 1);
  const auto before = testkit::allocation_counts();
  const std::uint64_t result = run(one());
  const auto after = testkit::allocation_counts();
  CHECK(result == 1);
  CHECK(after.news - before.news == 1);
  CHECK(after.deletes - before.deletes == 1);
}
