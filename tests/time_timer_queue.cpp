// The timer queue by itself: order, re-arming, leaving, and wakers that use the queue from inside.
#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/timer_queue.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/dies.hpp"

using assay::Duration;
using assay::Instant;
using assay::LocalWaker;
using assay::Timer;
using assay::TimerQueue;
using assay::testkit::CountingWaker;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

}  // namespace

TEST_CASE("timers fire by deadline, and in the order of arming where deadlines are equal", "[time]") {
  TimerQueue queue;
  std::array<Timer, 200> timers;
  std::vector<std::size_t> fired;
  // Deadlines 0 to 9, each many times, in a scattered order.
  const auto deadline_of = [](std::size_t i) { return static_cast<std::int64_t>(i * 7 % 10); };
  for (std::size_t i = 0; i < timers.size(); ++i) {
    queue.arm(timers.at(i), at(deadline_of(i)), LocalWaker(assay::function_waker([&fired, i] { fired.push_back(i); })));
    REQUIRE(queue.size() == i + 1);
    REQUIRE(queue.check_deep() == i + 1);
    REQUIRE(queue.owns(timers.at(i)));
  }
  std::size_t before = 0;
  for (std::int64_t now = -1; now < 10; ++now) {
    REQUIRE(queue.next_deadline() == at(now < 0 ? 0 : now));
    REQUIRE(queue.fire(at(now)) == (now < 0 ? 0U : 20U));
    REQUIRE(queue.check_deep() == timers.size() - fired.size());
    for (std::size_t i = before; i < fired.size(); ++i) {
      CHECK(deadline_of(fired.at(i)) == now);
      if (i > before) CHECK(fired.at(i - 1) < fired.at(i));
    }
    before = fired.size();
  }
  CHECK(fired.size() == timers.size());
  CHECK(queue.empty());
  CHECK(!queue.next_deadline());
  for (const Timer& timer : timers) CHECK((timer.has_fired() && !timer.is_armed()));
}

TEST_CASE("deadlines at both ends of time", "[time]") {
  TimerQueue queue;
  CountingWaker counting;
  Timer first;
  Timer last;
  {
    const LocalWaker waker(counting.waker());
    queue.arm(last, Instant::max(), waker);
    queue.arm(first, Instant::min(), waker);
  }
  CHECK(queue.next_deadline() == Instant::min());
  CHECK(queue.fire(Instant::min()) == 1);
  CHECK(first.has_fired());
  CHECK(queue.fire(at(INT64_MAX - 1)) == 0);
  CHECK(!last.has_fired());
  CHECK(queue.fire(Instant::max()) == 1);
  CHECK(last.has_fired());
  CHECK(counting.wakes() == 2);
  CHECK(counting.drops() == counting.clones() + 1);
  CHECK(queue.check_deep() == 0);
}

TEST_CASE("a few timers at a time: what is left is first the next time, and ahead of all that is armed meanwhile", "[time]") {
  TimerQueue queue;
  std::vector<Timer> timers(10);
  std::vector<std::size_t> fired;
  const auto arm = [&](std::size_t i, std::int64_t deadline) {
    queue.arm(timers.at(i), at(deadline), LocalWaker(assay::function_waker([&fired, i] { fired.push_back(i); })));
  };
  for (std::size_t i = 0; i < 5; ++i) arm(i, static_cast<std::int64_t>(10 + i));
  CHECK(queue.fire(at(20), 0) == 0);
  CHECK(queue.check_deep() == 5);
  CHECK(queue.fire(at(20), 2) == 2);
  CHECK(fired == std::vector<std::size_t>{0, 1});
  CHECK(queue.next_deadline() == at(12));
  arm(5, 5);   // in the past: behind those that are due
  arm(6, 20);  // due now, armed later
  arm(7, 30);
  timers.at(3).disarm();
  CHECK(queue.check_deep() == 5);
  CHECK(queue.fire(at(20), 2) == 2);
  CHECK(fired == std::vector<std::size_t>{0, 1, 2, 4});
  CHECK(queue.next_deadline() == at(20));
  CHECK(queue.fire(at(25), 3) == 2);
  CHECK(fired == std::vector<std::size_t>{0, 1, 2, 4, 5, 6});
  arm(8, 5);  // nothing is due any more
  CHECK(queue.next_deadline() == at(5));
  CHECK(queue.check_deep() == 2);
  CHECK(queue.fire(at(30)) == 2);
  CHECK(fired == std::vector<std::size_t>{0, 1, 2, 4, 5, 6, 8, 7});
  CHECK(queue.check_deep() == 0);
}

TEST_CASE("arming again moves a timer, also to another queue; the waker is the latest", "[time]") {
  TimerQueue queue;
  TimerQueue other;
  CountingWaker a;
  CountingWaker b;
  Timer timer;
  queue.arm(timer, at(10), a.waker());
  queue.arm(timer, at(20), b.waker());
  CHECK(queue.size() == 1);
  CHECK(queue.fire(at(10)) == 0);
  TimerQueue::update(timer, a.waker());
  other.arm(timer, at(5), b.waker());
  CHECK(queue.empty());
  CHECK(!queue.owns(timer));
  CHECK(other.owns(timer));
  CHECK(other.fire(at(5)) == 1);
  CHECK(a.wakes() == 0);
  CHECK(b.wakes() == 1);
  CHECK(timer.has_fired());
  other.arm(timer, at(6), a.waker());
  CHECK(!timer.has_fired());
  timer.disarm();
  timer.disarm();
  CHECK(!timer.is_armed());
  CHECK(other.fire(Instant::max()) == 0);
  CHECK(a.wakes() == 0);
  CHECK(a.drops() == a.clones() + 3);
  CHECK(b.drops() == b.clones() + 2);
}

TEST_CASE("a timer leaves when it is destroyed; a queue lets go of its timers", "[time]") {
  CountingWaker counting;
  {
    Timer outlives;
    {
      TimerQueue queue;
      queue.arm(outlives, at(1), counting.waker());
      {
        Timer inside;
        queue.arm(inside, at(0), counting.waker());
        CHECK(queue.size() == 2);
      }
      CHECK(queue.size() == 1);
      CHECK(queue.check_deep() == 1);
      CHECK(queue.next_deadline() == at(1));
    }
    CHECK(!outlives.is_armed());
    CHECK(!outlives.has_fired());
  }
  CHECK(counting.wakes() == 0);
  CHECK(counting.drops() == counting.clones() + 2);
}

TEST_CASE("a wake may arm, disarm and destroy timers of the queue that fires", "[time]") {
  TimerQueue queue;
  std::vector<int> order;
  std::optional<Timer> victim;
  Timer second;
  Timer added_due;
  Timer added_later;
  Timer first;
  queue.arm(first, at(1), assay::function_waker([&] {
              order.push_back(1);
              CHECK(!first.is_armed());
              victim.reset();
              second.disarm();
              queue.arm(added_due, at(1), assay::function_waker([&] { order.push_back(2); }));
              queue.arm(added_later, at(9), assay::function_waker([&] { order.push_back(9); }));
              queue.check_deep();
            }));
  victim.emplace();
  queue.arm(*victim, at(1), assay::function_waker([&] { order.push_back(-1); }));
  queue.arm(second, at(1), assay::function_waker([&] { order.push_back(-2); }));
  // What is armed meanwhile is for the next time.
  CHECK(queue.fire(at(1)) == 1);
  CHECK(order == std::vector<int>{1});
  CHECK(queue.check_deep() == 2);
  CHECK(queue.next_deadline() == at(1));
  CHECK(queue.fire(at(1)) == 1);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(queue.check_deep() == 1);
  CHECK(queue.fire(at(9)) == 1);
  CHECK(order == std::vector<int>{1, 2, 9});
}

TEST_CASE("a wake may re-arm or destroy the very timer that fires", "[time]") {
  TimerQueue queue;
  int wakes = 0;
  auto timer = std::make_unique<Timer>();
  queue.arm(*timer, at(1), assay::function_waker([&] {
    ++wakes;
    CHECK(timer->has_fired());
    queue.arm(*timer, at(2), assay::function_waker([&] {
      ++wakes;
      timer.reset();
    }));
  }));
  CHECK(queue.fire(at(1)) == 1);
  CHECK(queue.size() == 1);
  CHECK(queue.fire(at(2)) == 1);
  CHECK(wakes == 2);
  CHECK(timer == nullptr);
  CHECK(queue.check_deep() == 0);
}

TEST_CASE("a wake that re-arms its own timer in the past neither spins nor starves the others", "[time]") {
  TimerQueue queue;
  std::vector<int> order;
  Timer again;
  Timer patient;
  std::function<void()> rearm = [&] {
    order.push_back(1);
    queue.arm(again, Instant::min(), assay::function_waker([&] { rearm(); }));
  };
  queue.arm(again, Instant::min(), assay::function_waker([&] { rearm(); }));
  queue.arm(patient, at(5), assay::function_waker([&] { order.push_back(2); }));
  CHECK(queue.fire(at(5)) == 2);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(queue.next_deadline() == at(5));
  CHECK(queue.fire(at(5)) == 1);
  CHECK(queue.fire(at(5)) == 1);
  CHECK(order == std::vector<int>{1, 2, 1, 1});
  CHECK(queue.check_deep() == 1);
}

TEST_CASE("in the middle of thousands that fire, wakers disarm, destroy and re-arm others, due or not", "[time]") {
  // Each timer that fires does something to one that is far from it. A list of what must be there says what may fire next.
  constexpr std::size_t count = 3000;
  const std::int64_t window = GENERATE(0, 7, 1'000'000);
  CAPTURE(window);
  struct Entry {
    std::int64_t deadline;
    std::size_t order;
    std::size_t timer;
    auto operator<=>(const Entry&) const = default;
  };
  TimerQueue queue;
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Timer>> timers(count);
  std::set<Entry> due;
  std::set<Entry> later;
  std::vector<Entry> entries(count);
  std::size_t orders = 0;
  std::size_t wrong = 0;
  std::size_t touched_due = 0;
  std::function<void(std::size_t, std::int64_t)> arm;
  const auto woken = [&](std::size_t timer) {
    if (due.empty() || due.begin()->timer != timer) ++wrong;
    due.erase(entries.at(timer));
    const std::size_t other = random() % count;
    if (timers.at(other) == nullptr) return;
    if (due.erase(entries.at(other)) == 1) ++touched_due;
    later.erase(entries.at(other));
    const auto what = random() % 3;
    if (what == 0) timers.at(other).reset();
    if (what == 1) timers.at(other)->disarm();
    if (what == 2) arm(other, static_cast<std::int64_t>(random() % 3'000'000));
    if (queue.size() != due.size() + later.size()) ++wrong;
    const auto next = queue.next_deadline();
    const auto& all = due.empty() ? later : due;
    if (next != (all.empty() ? std::nullopt : std::optional(at(all.begin()->deadline)))) ++wrong;
  };
  bool firing = false;
  arm = [&](std::size_t timer, std::int64_t deadline) {
    queue.arm(*timers.at(timer), at(deadline), assay::function_waker([&woken, timer] { woken(timer); }));
    entries.at(timer) = Entry{firing ? std::max(deadline, std::int64_t{1'000'000}) : deadline, orders++, timer};
    (firing ? later : due).insert(entries.at(timer));
  };
  for (std::size_t i = 0; i < count; ++i) {
    timers.at(i) = std::make_unique<Timer>();
    arm(i, window == 0 ? 3 : static_cast<std::int64_t>(random() % static_cast<unsigned>(window)));
  }
  firing = true;
  const std::size_t fired = queue.fire(at(1'000'000));
  CHECK(wrong == 0);
  CHECK(due.empty());
  CHECK(touched_due > 500);
  CHECK(fired == count - touched_due);
  CHECK(queue.check_deep() == later.size());
  CHECK(later.size() > 100);
}

TEST_CASE("a wake may fire the queue again: in order, each timer once", "[time]") {
  TimerQueue queue(1);
  std::vector<int> order;
  std::array<Timer, 5> timers;
  Timer added;
  Timer added_inside;
  Timer added_after;
  std::vector<int> rest;
  std::size_t inner = 0;
  const auto logs = [&](int what) { return assay::function_waker([&order, what] { order.push_back(what); }); };
  queue.arm(timers.at(0), at(1), assay::function_waker([&] {
              order.push_back(0);
              queue.arm(added, at(0), logs(9));
              SECTION("with the same instant") {
                inner = queue.fire(at(4));
                CHECK(inner == 4);
                CHECK(order == std::vector<int>{0, 1, 2, 3, 9});
                rest = {8, 7, 4};
              }
              SECTION("with an earlier one") {
                inner = queue.fire(at(2));
                CHECK(inner == 1);
                CHECK(order == std::vector<int>{0, 1});
                rest = {9, 8, 7, 4};
              }
              SECTION("with a later one") {
                inner = queue.fire(at(5));
                CHECK(inner == 5);
                CHECK(order == std::vector<int>{0, 1, 2, 3, 9, 4});
                rest = {7, 8};
              }
              queue.arm(added_after, at(0), logs(7));
              queue.check_deep();
            }));
  queue.arm(timers.at(1), at(2), assay::function_waker([&] {
              order.push_back(1);
              queue.arm(added_inside, at(0), logs(8));
            }));
  for (int i = 2; i < 5; ++i) queue.arm(timers.at(static_cast<std::size_t>(i)), at(i + 1), logs(i));
  const std::size_t outer = queue.fire(at(4));
  if (inner == 1) {
    CHECK(outer == 3);
    CHECK(order == std::vector<int>{0, 1, 2, 3});
    CHECK(queue.next_deadline() == at(4));  // what was armed meanwhile
  } else {
    CHECK(outer == 1);
  }
  CHECK(queue.check_deep() == rest.size());
  order.clear();
  CHECK(queue.fire(Instant::max()) == rest.size());
  CHECK(order == rest);
}

TEST_CASE("abort: a waker destroys the queue that is waking it", "[time][abort]") {
  assay::test::check_dies("a TimerQueue was destroyed by a waker that it was waking", [] {
    std::optional<TimerQueue> queue(std::in_place);
    Timer timer;
    queue->arm(timer, at(1), assay::function_waker([&] { queue.reset(); }));
    queue->fire(at(1));
  });
}

TEST_CASE("a waker that is dropped with its timer finds the timer gone from the queue", "[time]") {
  // The waker's own code runs in ~Timer and in disarm(): firing the queue from there must not reach the timer.
  TimerQueue queue;
  std::uint64_t fired = 0;
  CountingWaker counting;
  std::optional<Timer> timer(std::in_place);
  queue.arm(*timer, at(1), LocalWaker(counting.waker()));
  counting.on_drop = [&] { fired += queue.fire(Instant::max()); };
  SECTION("destroyed") { timer.reset(); }
  SECTION("disarmed") { timer->disarm(); }
  CHECK(fired == 0);
  CHECK(queue.check_deep() == 0);
  CHECK(counting.wakes() == 0);
  CHECK(counting.drops() == counting.clones() + 1);
}

TEST_CASE("the waker that another replaces is dropped when the timer is in order again", "[time]") {
  // Its code fires the queue: the timer must be there, once, with the new waker.
  TimerQueue queue;
  std::uint64_t fired = 0;
  CountingWaker old;
  CountingWaker fresh;
  Timer timer;
  queue.arm(timer, at(1), LocalWaker(old.waker()));
  old.on_drop = [&] {
    CHECK(queue.check_deep() == 1);
    fired += queue.fire(Instant::max());
  };
  SECTION("armed again") { queue.arm(timer, at(2), LocalWaker(fresh.waker())); }
  SECTION("updated") { TimerQueue::update(timer, LocalWaker(fresh.waker())); }
  CHECK(fired == 1);
  CHECK(timer.has_fired());
  CHECK(queue.check_deep() == 0);
  CHECK(old.wakes() == 0);
  CHECK(fresh.wakes() == 1);
  CHECK(old.drops() == old.clones() + 1);
  CHECK(fresh.drops() == fresh.clones() + 1);
}

TEST_CASE("arming, firing and disarming allocate nothing", "[time]") {
  TimerQueue queue;
  CountingWaker counting;
  const LocalWaker waker(counting.waker());
  std::array<Timer, 64> timers;
  const auto before = assay::testkit::allocation_counts();
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < timers.size(); ++i) queue.arm(timers.at(i), at(static_cast<std::int64_t>(i)), waker);
    for (std::size_t i = 0; i < timers.size(); i += 2) timers.at(i).disarm();
    queue.fire(at(63));
  }
  for (std::size_t i = 0; i < timers.size(); ++i) queue.arm(timers.at(i), at(static_cast<std::int64_t>(i * 7 % 64)), waker);
  CHECK(queue.fire(at(63)) == timers.size());
  const auto after = assay::testkit::allocation_counts();
  CHECK(after.news == before.news);
  CHECK(after.deletes == before.deletes);
  CHECK(queue.empty());
  CHECK(counting.wakes() == 3264);
}
