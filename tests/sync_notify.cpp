// Shows that Notify serves first come, first served, remembers one notification and no more, loses none to a waiter
// that is dropped, and keeps no waker that it does not need; by hand, and between tasks.
#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("notify_one wakes the first in line", "[sync][notify]") {
  Hand a, b, c;
  Notify notify;
  auto first = notify.notified();
  auto second = notify.notified();
  auto third = notify.notified();
  // The place is taken at the first poll, not when the future is made.
  CHECK_FALSE(b.is_ready(second));
  CHECK_FALSE(a.is_ready(first));
  CHECK_FALSE(c.is_ready(third));
  CHECK(a.seen() == Seen{.kept = 1});
  CHECK(b.seen() == Seen{.kept = 1});
  CHECK(c.seen() == Seen{.kept = 1});

  notify.notify_one();
  CHECK(a.seen() == Seen{.kept = 1});
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK(c.seen() == Seen{.kept = 1});
  CHECK_FALSE(a.is_ready(first));
  CHECK(b.is_ready(second));

  notify.notify_one();
  notify.notify_one();
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{});
  CHECK(c.seen() == Seen{.wakes = 1});
  CHECK(c.is_ready(third));
  CHECK(a.is_ready(first));
  CHECK(a.seen() == Seen{});
  CHECK(c.seen() == Seen{});
}

TEST_CASE("one notification is remembered, and only one", "[sync][notify]") {
  Hand a, b;
  Notify notify;
  notify.notify_one();
  notify.notify_one();
  auto first = notify.notified();
  auto second = notify.notified();
  CHECK(a.is_ready(first));
  CHECK(a.seen() == Seen{});
  CHECK(a.counting.clones() == 0);
  CHECK_FALSE(b.is_ready(second));
  CHECK(b.seen() == Seen{.kept = 1});
}

TEST_CASE("notify_all wakes those who wait, and remembers nothing", "[sync][notify]") {
  Hand a, b, c;
  Notify notify;
  notify.notify_all();
  auto first = notify.notified();
  auto second = notify.notified();
  auto late = notify.notified();
  CHECK_FALSE(a.is_ready(first));
  CHECK_FALSE(b.is_ready(second));
  notify.notify_all();
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK_FALSE(c.is_ready(late));
  CHECK(b.is_ready(second));
  CHECK(a.is_ready(first));
  CHECK_FALSE(c.is_ready(late));
  CHECK(c.seen() == Seen{.kept = 1});
}

TEST_CASE("a notification that a dropped waiter did not use goes to the next", "[sync][notify]") {
  Hand a, b;
  Notify notify;
  std::optional<Notify::Notified> first(notify.notified());
  auto second = notify.notified();
  CHECK_FALSE(a.is_ready(*first));
  SECTION("who waits") {
    CHECK_FALSE(b.is_ready(second));
    notify.notify_one();
    CHECK(b.seen() == Seen{.kept = 1});
    first.reset();
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(b.is_ready(second));
  }
  SECTION("who comes later") {
    notify.notify_one();
    first.reset();
    CHECK(b.is_ready(second));
  }
  SECTION("but not one of notify_all, which was for all who waited") {
    CHECK_FALSE(b.is_ready(second));
    notify.notify_all();
    CHECK(b.seen() == Seen{.wakes = 1});
    first.reset();
    CHECK(b.is_ready(second));
    auto third = notify.notified();
    CHECK_FALSE(b.is_ready(third));
    CHECK(b.seen() == Seen{.kept = 1});
  }
  SECTION("but not one that was used") {
    notify.notify_one();
    CHECK(a.is_ready(*first));
    first.reset();
    CHECK_FALSE(b.is_ready(second));
  }
  CHECK(a.seen().kept == 0);
}

TEST_CASE("a waiter that is dropped leaves the line", "[sync][notify]") {
  Hand a, b, c;
  Notify notify;
  std::array<std::optional<Notify::Notified>, 3> waiters;
  const std::array<Hand*, 3> hands{&a, &b, &c};
  for (std::size_t i = 0; i < 3; ++i) {
    waiters.at(i).emplace(notify.notified());
    CHECK_FALSE(hands.at(i)->is_ready(*waiters.at(i)));
  }
  const std::size_t gone = GENERATE(0U, 1U, 2U);
  waiters.at(gone).reset();
  CHECK(hands.at(gone)->seen() == Seen{});
  notify.notify_one();
  notify.notify_one();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(hands.at(i)->seen() == Seen{.wakes = i == gone ? 0U : 1U});
    if (i != gone) CHECK(hands.at(i)->is_ready(*waiters.at(i)));
  }
  // The next notification finds nobody, and is remembered: neither was lost to the one that is gone.
  auto next = notify.notified();
  CHECK_FALSE(a.is_ready(next));
}

TEST_CASE("two tasks wait, one is cancelled after it was notified, the other runs", "[sync][notify]") {
  const bool by_hand = GENERATE(false, true);
  Notify notify;
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::vector<int> order;
  const auto waiter = [&](int id) -> Async<void> {
    co_await notify.notified();
    order.push_back(id);
  };
  const auto spawn = [&](int id) { return by_hand ? executor.spawn(notify.notified()) : executor.spawn(waiter, id); };
  JoinHandle<void> first = spawn(1);
  JoinHandle<void> second = spawn(2);
  CHECK(probe.step() == Step{.spawned = 2, .enqueued = 2, .live = 2});
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.polls = 2, .live = 2});
  notify.notify_one();
  CHECK(probe.step() == Step{.local_wakes = 1, .enqueued = 1, .live = 2});
  first.cancel();
  CHECK(first.is_cancelled());
  // Passed on at once, and the cancelled task's memory is kept by its handle and its place in the queue.
  CHECK(probe.step() == Step{.cancelled = 1, .local_wakes = 1, .enqueued = 1, .live = 2});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .live = 2});
  CHECK(second.is_finished());
  CHECK(order == (by_hand ? std::vector<int>{} : std::vector<int>{2}));
}

namespace {

constexpr std::size_t waiter_count = 3;
constexpr const char* names[] = {"poll 0", "poll 1", "poll 2",     "drop 0",
                                 "drop 1", "drop 2", "notify_one", "notify_all"};

// What Notify should do, on the simplest structures there are.
struct Model {
  enum class State { absent, waiting, notified_one, notified_all };
  std::array<State, waiter_count> state{};
  std::deque<std::size_t> line;
  bool permit = false;
  std::array<std::uint64_t, waiter_count> wakes{};

  bool poll(std::size_t i) {
    State& mine = state.at(i);
    if (mine == State::notified_one || mine == State::notified_all ||
        (mine == State::absent && std::exchange(permit, false))) {
      mine = State::absent;
      return true;
    }
    if (mine == State::absent) line.push_back(i);
    mine = State::waiting;
    return false;
  }
  void notify_one() {
    if (line.empty()) {
      permit = true;
      return;
    }
    state.at(line.front()) = State::notified_one;
    ++wakes.at(line.front());
    line.pop_front();
  }
  void notify_all() {
    for (const std::size_t i : line) {
      state.at(i) = State::notified_all;
      ++wakes.at(i);
    }
    line.clear();
  }
  void drop(std::size_t i) {
    std::erase(line, i);
    if (std::exchange(state.at(i), State::absent) == State::notified_one) notify_one();
  }
};

}  // namespace

TEST_CASE("every short sequence of operations on a Notify", "[sync][notify][enum]") {
  const std::uint64_t ran = for_each_sequence(std::size(names), 6, [](const std::vector<unsigned>& sequence) {
    std::array<Hand, waiter_count> hands;
    Notify notify;
    std::array<std::optional<Notify::Notified>, waiter_count> waiters;
    Model model;
    for (std::size_t step = 0; step < sequence.size(); ++step) {
      const unsigned operation = sequence[step];
      const std::size_t i = operation % waiter_count;
      if (operation < 3) {
        if (!waiters.at(i)) waiters.at(i).emplace(notify.notified());
        const bool expected = model.poll(i);
        if (hands.at(i).is_ready(*waiters.at(i)) != expected)
          fail_sequence(names, sequence, step, "wrong result of the poll");
        if (expected) waiters.at(i).reset();
      } else if (operation < 6) {
        if (!waiters.at(i)) return step;
        waiters.at(i).reset();
        model.drop(i);
      } else if (operation == 6) {
        notify.notify_one();
        model.notify_one();
      } else {
        notify.notify_all();
        model.notify_all();
      }
      for (std::size_t k = 0; k < waiter_count; ++k) {
        if (hands.at(k).counting.wakes() != model.wakes.at(k))
          fail_sequence(names, sequence, step, "wrong number of wakes");
        if (hands.at(k).kept() != (model.state.at(k) == Model::State::waiting ? 1U : 0U)) {
          fail_sequence(names, sequence, step, "a waker too many or too few is kept");
        }
      }
    }
    return sequence.size();
  });
  CHECK(ran > 50'000);
}

TEST_CASE("misuse of a Notify aborts", "[sync][notify][dies]") {
  check_dies("moved after its first poll", [] {
    Hand a;
    Notify notify;
    auto waiter = notify.notified();
    static_cast<void>(a.is_ready(waiter));
    auto moved = std::move(waiter);
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    Notify notify;
    notify.notify_one();
    auto waiter = notify.notified();
    if (!a.is_ready(waiter)) return;
    static_cast<void>(a.is_ready(waiter));
  });
  const std::string alive = "a Notify was destroyed while tasks wait on it";
  check_dies(alive, [] {
    Hand a;
    std::optional<Notify> notify(std::in_place);
    auto waiter = notify->notified();
    static_cast<void>(a.is_ready(waiter));
    notify.reset();
  });
  // Notified, but not polled since: it would pass its notification on to a Notify that is gone.
  check_dies(alive, [] {
    Hand a;
    std::optional<Notify> notify(std::in_place);
    auto waiter = notify->notified();
    static_cast<void>(a.is_ready(waiter));
    notify->notify_one();
    notify.reset();
  });
  check_dies(alive, [] {
    Executor executor;
    Notify notify;
    executor.spawn_detached([](Notify& mine) -> Async<void> { co_await mine.notified(); }, std::ref(notify));
    executor.run_until_stalled();
  });
  check_dies(alive, [] {  // it would be polled later
    std::optional<Notify> notify(std::in_place);
    const auto fresh = notify->notified();
    notify.reset();
  });
  check_dies("polled after it was moved from", [] {
    Hand a;
    Notify notify;
    auto waiter = notify.notified();
    const auto moved = std::move(waiter);
    static_cast<void>(a.is_ready(waiter));
  });
  check_survives([] {
    Hand a, b;
    std::optional<Notify> notify(std::in_place);
    {
      auto fresh = notify->notified();
      auto moved = std::move(fresh);
    }
    auto done = notify->notified();
    auto told = notify->notified();
    notify->notify_one();
    if (!a.is_ready(done)) std::abort();
    if (b.is_ready(told)) std::abort();
    notify->notify_all();
    if (!b.is_ready(told)) std::abort();
    notify.reset();
  });
}
