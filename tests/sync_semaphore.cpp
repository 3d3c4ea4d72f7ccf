// Shows that a Semaphore serves first come, first served, that a big request holds back the small ones behind it and no
// longer than it waits, and that each permit is given back exactly once (BUGS B20, I02); by hand, and between tasks.
#include <array>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {
using Permit = Semaphore::Permit;
using Acquire = Semaphore::Acquire;
}  // namespace

TEST_CASE("permits go to those who wait, in order", "[sync][semaphore]") {
  Hand a, b, c;
  Semaphore semaphore(1);
  auto first = semaphore.acquire();
  auto second = semaphore.acquire();
  auto third = semaphore.acquire();
  std::optional<Permit> one(a.poll(first).take());
  CHECK(a.counting.clones() == 0);
  CHECK(semaphore.available() == 0);
  CHECK(c.poll(third).is_pending());
  CHECK(b.poll(second).is_pending());
  CHECK_FALSE(semaphore.try_acquire().has_value());
  one.reset();
  CHECK(c.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.kept = 1});
  CHECK(semaphore.available() == 0);  // it belongs to the one that was woken
  CHECK_FALSE(semaphore.try_acquire().has_value());
  CHECK(b.poll(second).is_pending());
  {
    const Permit mine = c.poll(third).take();
    CHECK(mine.count() == 1);
    CHECK(b.seen() == Seen{.kept = 1});
  }
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK(b.poll(second).is_ready());
  CHECK(b.seen() == Seen{});
  CHECK(semaphore.available() == 1);
}

TEST_CASE("a big request holds back small ones behind it", "[sync][semaphore]") {
  Hand a, b, c;
  Semaphore semaphore(2);
  std::optional<Permit> held = semaphore.try_acquire();
  std::optional<Acquire> big(semaphore.acquire(3));
  auto small = semaphore.acquire();
  auto next = semaphore.acquire();
  CHECK(a.poll(*big).is_pending());
  CHECK(b.poll(small).is_pending());
  CHECK(c.poll(next).is_pending());
  CHECK(semaphore.available() == 1);
  CHECK_FALSE(semaphore.try_acquire().has_value());  // nor may those pass who do not wait
  SECTION("until it is served") {
    held.reset();
    CHECK(a.seen() == Seen{.kept = 1});
    semaphore.add(1);
    CHECK(a.seen() == Seen{.wakes = 1});
    CHECK(b.seen() == Seen{.kept = 1});
    CHECK(semaphore.available() == 0);
    CHECK(a.poll(*big).take().count() == 3);  // and given back at once
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(c.seen() == Seen{.wakes = 1});
    CHECK(semaphore.available() == 1);
  }
  SECTION("until it is cancelled") {
    big.reset();
    CHECK(a.seen() == Seen{});
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(c.seen() == Seen{.kept = 1});
    CHECK(semaphore.available() == 0);
    held.reset();
    CHECK(c.seen() == Seen{.wakes = 1});
  }
}

TEST_CASE("a waiter that was served and is dropped gives the permits back once", "[sync][semaphore]") {
  Hand a, b;
  Semaphore semaphore(0);
  std::optional<Acquire> first(semaphore.acquire(2));
  auto second = semaphore.acquire(2);
  CHECK(a.poll(*first).is_pending());
  CHECK(b.poll(second).is_pending());
  semaphore.add(2);
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.kept = 1});
  first.reset();
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK(semaphore.available() == 0);
  {
    const Permit permit = b.poll(second).take();
    CHECK(permit.count() == 2);
    CHECK(semaphore.available() == 0);
  }
  CHECK(semaphore.available() == 2);
}

TEST_CASE("a permit that is moved is given back once", "[sync][semaphore]") {
  Semaphore semaphore(3);
  {
    Permit one = *semaphore.try_acquire(1);
    Permit two = *semaphore.try_acquire(2);
    CHECK(semaphore.available() == 0);
    one = std::move(two);  // what `one` held goes back
    CHECK(semaphore.available() == 1);
    CHECK(one.count() == 2);
    Permit& same = one;
    one = std::move(same);
    CHECK(semaphore.available() == 1);
    const Permit last(std::move(one));
    CHECK(last.count() == 2);
    CHECK(semaphore.available() == 1);
  }
  CHECK(semaphore.available() == 3);
}

TEST_CASE("forgotten permits are gone, and can be added again", "[sync][semaphore]") {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  Semaphore semaphore(all);
  {
    Permit permit = *semaphore.try_acquire(10);
    permit.forget();
    permit.forget();
    CHECK(semaphore.available() == all - 10);
  }
  CHECK(semaphore.available() == all - 10);
  semaphore.add(10);
  CHECK(semaphore.available() == all);
  {
    const Permit most = *semaphore.try_acquire(all);
    CHECK(semaphore.available() == 0);
    semaphore.add(0);
  }
  CHECK(semaphore.available() == all);
  CHECK(semaphore.try_acquire(0).has_value());
}

TEST_CASE("misuse of a Semaphore aborts", "[sync][semaphore][dies]") {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  check_dies("too many permits", [] { Semaphore(all).add(1); });
  check_dies("too many permits", [] {
    Semaphore semaphore(all);
    const auto out = semaphore.try_acquire(all);  // they will come back
    semaphore.add(1);
  });
  check_dies("moved after its first poll", [] {
    Hand a;
    Semaphore semaphore(0);
    auto acquire = semaphore.acquire();
    static_cast<void>(a.poll(acquire));
    auto moved = std::move(acquire);
  });
  check_dies("moved after its first poll", [] {
    Hand a;
    Semaphore semaphore(1);
    auto acquire = semaphore.acquire();
    static_cast<void>(a.poll(acquire));
    auto moved = std::move(acquire);
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    Semaphore semaphore(2);
    auto acquire = semaphore.acquire();
    const auto permit = a.poll(acquire);
    static_cast<void>(a.poll(acquire));
  });
  const std::string alive = "a Semaphore or Mutex was destroyed while tasks hold it or wait on it";
  check_dies(alive, [] {
    std::optional<Permit> permit;
    Semaphore semaphore(1);
    permit = semaphore.try_acquire();
  });
  check_dies(alive, [] {
    Hand a;
    std::optional<Acquire> acquire;
    Semaphore semaphore(0);
    acquire.emplace(semaphore.acquire());
    static_cast<void>(a.poll(*acquire));
  });
  check_dies(alive, [] {  // served, but not polled since
    Hand a;
    std::optional<Acquire> acquire;
    Semaphore semaphore(0);
    acquire.emplace(semaphore.acquire());
    static_cast<void>(a.poll(*acquire));
    semaphore.add(1);
  });
  check_dies(alive, [] {  // it would be polled later
    std::optional<Acquire> acquire;
    Semaphore semaphore(1);
    acquire.emplace(semaphore.acquire());
  });
  check_dies("polled after it was moved from", [] {
    Hand a;
    Semaphore semaphore(1);
    auto acquire = semaphore.acquire();
    const auto moved = std::move(acquire);
    static_cast<void>(a.poll(acquire));
  });
  check_dies(alive, [] {
    Executor executor;
    Semaphore semaphore(1);
    auto hold = [](Semaphore& mine) -> Async<void> {
      const Permit permit = co_await mine.acquire();
      co_await forever();
    };
    executor.spawn_detached(hold, std::ref(semaphore));
    executor.run_until_stalled();
  });
  check_survives([] {
    Executor executor;
    Semaphore semaphore(1);
    Permit forgotten = *semaphore.try_acquire();
    forgotten.forget();
    auto fresh = semaphore.acquire();
    auto moved = std::move(fresh);
  });
}

TEST_CASE("tasks never hold more permits than there are, and all get their turn", "[sync][semaphore]") {
  Ledger ledger;
  Semaphore semaphore(3);
  Executor executor;
  Probe probe(executor, ledger);
  std::size_t held = 0;
  std::size_t most = 0;
  std::vector<std::size_t> order;
  const auto worker = [&](std::size_t id, std::size_t count) -> Async<void> {
    const Permit permit = co_await semaphore.acquire(count);
    held += permit.count();
    most = std::max(most, held);
    order.push_back(id);
    co_await yield_now();
    co_await yield_now();
    held -= permit.count();
  };
  TaskGroup group(executor);
  constexpr std::size_t counts[] = {1, 2, 3, 1, 1, 2, 3, 1};
  for (std::size_t id = 0; id < std::size(counts); ++id) group.spawn(worker, id, counts[id]);
  executor.block_on(group.join_all());
  CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(most == 3);
  CHECK(held == 0);
  CHECK(semaphore.available() == 3);
  const Step end = probe.step();
  CHECK(end.completed == std::size(counts) + 1);
  CHECK(end.cancelled == 0);
  CHECK(end.live == 0);
}

namespace {

constexpr std::size_t slots = 3;
constexpr std::array<std::size_t, slots> wanted{1, 2, 1};
constexpr const char* names[] = {"poll 1", "poll 2", "poll 1'", "drop 1", "drop 2", "drop 1'", "add", "try", "forget"};

struct Model {
  enum class State { absent, waiting, granted, held };
  std::array<State, slots> state{};
  std::array<std::uint64_t, slots> wakes{};
  std::deque<std::size_t> line;
  std::size_t available = 1;

  void serve() {
    while (!line.empty() && wanted.at(line.front()) <= available) {
      const std::size_t i = line.front();
      line.pop_front();
      available -= wanted.at(i);
      state.at(i) = State::granted;
      ++wakes.at(i);
    }
  }
  bool poll(std::size_t i) {
    if (state.at(i) == State::absent) {
      if (line.empty() && wanted.at(i) <= available) {
        available -= wanted.at(i);
        state.at(i) = State::granted;
      } else {
        line.push_back(i);
        state.at(i) = State::waiting;
      }
    }
    if (state.at(i) != State::granted) return false;
    state.at(i) = State::held;
    return true;
  }
  void drop(std::size_t i) {
    if (state.at(i) == State::waiting) std::erase(line, i);
    if (state.at(i) == State::granted || state.at(i) == State::held) available += wanted.at(i);
    state.at(i) = State::absent;
    serve();
  }
};

}  // namespace

TEST_CASE("every short sequence of operations on a Semaphore", "[sync][semaphore][enum]") {
  const std::uint64_t ran = for_each_sequence(std::size(names), 6, [](const std::vector<unsigned>& sequence) {
    std::array<Hand, slots> hands;
    Semaphore semaphore(1);
    std::array<std::optional<Acquire>, slots> futures;
    std::array<std::optional<Permit>, slots> permits;
    Model model;
    for (std::size_t step = 0; step < sequence.size(); ++step) {
      const unsigned operation = sequence[step];
      const std::size_t i = operation % slots;
      if (operation < 3) {
        if (permits.at(i)) return step;
        if (!futures.at(i)) futures.at(i).emplace(semaphore.acquire(wanted.at(i)));
        Poll<Permit> result = hands.at(i).poll(*futures.at(i));
        if (result.is_ready() != model.poll(i)) fail_sequence(names, sequence, step, "wrong result of the poll");
        if (result.is_ready()) {
          permits.at(i).emplace(std::move(result).take());
          futures.at(i).reset();
        }
      } else if (operation < 6) {
        if (!permits.at(i) && !futures.at(i)) return step;
        permits.at(i).reset();
        futures.at(i).reset();
        model.drop(i);
      } else if (operation == 6) {
        semaphore.add(1);
        ++model.available;
        model.serve();
      } else if (operation == 7) {  // and gives it back at once
        const bool expected = model.line.empty() && model.available > 0;
        if (semaphore.try_acquire().has_value() != expected)
          fail_sequence(names, sequence, step, "wrong result of try_acquire");
      } else {
        if (!permits.at(0)) return step;
        permits.at(0)->forget();
        permits.at(0).reset();
        model.state.at(0) = Model::State::absent;
      }
      if (semaphore.available() != model.available) fail_sequence(names, sequence, step, "wrong number of permits");
      for (std::size_t k = 0; k < slots; ++k) {
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
