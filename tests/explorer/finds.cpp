// What the interleaving explorer says of small models with one bug each, and that it says nothing of the same models
// without.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "assay_testkit/explore/explore.hpp"
#include "assay_testkit/explore/heap.hpp"

using namespace assay::testkit;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using modelled::Order;
using Search = ExploreOptions::Search;

namespace {

ExploreOptions searching(Search search, std::uint64_t executions = 0) {
  ExploreOptions options;
  options.search = search;
  options.executions = executions;
  return options;
}

void message_passing(Order stores, Order loads) {
  modelled::Atomic<int> ready(0);
  modelled::Cell<int> data(0);
  modelled::Thread writer([&] {
    data.set(42);
    ready.store(1, stores);
  });
  if (ready.load(loads) == 1) modelled::check(data.get() == 42, "the data has arrived");
  writer.join();
}

// A flag of a mutex and a condition: whether the waiter holds the mutex from its look to its sleep, and looks again.
void sleep_and_wake(bool sets_under_the_mutex, bool looks_again) {
  modelled::Mutex mutex;
  modelled::Condition condition;
  modelled::Atomic<bool> is_set(false);
  modelled::Thread setter([&] {
    if (sets_under_the_mutex) mutex.lock();
    is_set.store(true, Order::relaxed);
    if (sets_under_the_mutex) mutex.unlock();
    condition.notify_one();
  });
  mutex.lock();
  if (looks_again) {
    while (!is_set.load(Order::relaxed)) condition.wait(mutex);
  } else if (!is_set.load(Order::relaxed)) {
    condition.wait(mutex);
  }
  modelled::check(is_set.load(Order::relaxed), "it wakes when it is set");
  mutex.unlock();
  setter.join();
}

struct Counted {
  modelled::Atomic<int> references{2};
  modelled::Cell<int> value{0};
};

void last_one_deletes(Order order) {
  auto* counted = new Counted;
  const auto drop = [counted, order] {
    counted->value.get();
    if (counted->references.fetch_sub(1, order) == 1) delete counted;
  };
  modelled::Thread other(drop);
  drop();
  other.join();
}

}  // namespace

TEST_CASE("explorer: a message that is released and acquired arrives", "[explore]") {
  const Exploration found = explore([] { message_passing(Order::release, Order::acquire); });
  CHECK(found.failure.empty());
  CHECK(found.passed());
  CHECK(found.complete);
  CHECK(found.executions == 2);  // the flag is seen, or not
  CHECK(found.pruned == 0);
  CHECK(found.choices.empty());
  CHECK(found.table.empty());
  CHECK(found.report() == "2 executions");
}

TEST_CASE("explorer: a data race is reported, with the execution that has it", "[explore]") {
  for (const auto& [stores, loads] :
       {std::pair{Order::relaxed, Order::acquire}, std::pair{Order::release, Order::relaxed}}) {
    const Exploration found = explore([&] { message_passing(stores, loads); });
    CHECK_FALSE(found.passed());
    CHECK_FALSE(found.complete);
    CHECK(found.failure == "thread A: data race: a cell is read while thread B writes it");
    CHECK_THAT(found.table, ContainsSubstring("a0 = 1 ") && ContainsSubstring("a0 is 1 of 3 "));
    CHECK_THAT(found.report(),
               ContainsSubstring(found.table) && ContainsSubstring("replay = \"" + found.choices + "\""));
  }
}

TEST_CASE("explorer: a report's choices lead to the same execution again", "[explore]") {
  const auto model = [] { message_passing(Order::relaxed, Order::acquire); };
  for (const Search search : {Search::reduced, Search::plain, Search::random, Search::pct}) {
    const Exploration found = explore(model, searching(search));
    REQUIRE_FALSE(found.passed());
    ExploreOptions options;
    options.replay = found.choices;
    const Exploration again = explore(model, options);
    CHECK(again.failure == found.failure);
    CHECK(again.table == found.table);
    CHECK(again.choices == found.choices);
    CHECK(again.executions == 1);
  }
}

TEST_CASE("explorer: choices that are not of the model are refused", "[explore]") {
  const auto replay = [](const char* choices) {
    ExploreOptions options;
    options.replay = choices;
    return explore([] { message_passing(Order::release, Order::acquire); }, options).failure;
  };
  CHECK(replay("AB2A2").empty());
  for (const char* text : {"a", "A!", "3", "A,", "I", "A99999999"})
    CHECK(replay(text) == "the choices to replay are not what a report prints");
  CHECK(replay("A") == "the choices to replay end before the execution does");
  CHECK(replay("C") == "the choices to replay are not of this model");
  CHECK(replay("A!1") == "the choices to replay are not of this model");
}

TEST_CASE("explorer: old values are read, as far back as coherence allows", "[explore]") {
  std::array<int, 4> seen{};
  const Exploration found = explore([&] {
    modelled::Atomic<int> value(0);
    modelled::Thread writer([&] {
      for (int next = 1; next != 4; ++next) value.store(next, Order::relaxed);
    });
    const int first = value.load(Order::relaxed);
    const int second = value.load(Order::relaxed);
    modelled::check(second >= first, "reads do not go back");
    ++seen.at(static_cast<unsigned>(second));
    writer.join();
  });
  CHECK(found.passed());
  CHECK(seen == std::array{1, 2, 3, 4});
  CHECK(found.executions == 10);
}

TEST_CASE("explorer: a failed check is reported", "[explore]") {
  const Exploration found = explore([] {
    modelled::Atomic<int> value(0);
    modelled::Thread other([&] { value.store(value.load(Order::relaxed) + 1, Order::relaxed); });
    value.store(value.load(Order::relaxed) + 1, Order::relaxed);
    other.join();
    modelled::check(value.load(Order::relaxed) == 2, "both are counted");
  });
  CHECK(found.failure == "thread A: both are counted");
}

TEST_CASE("explorer: two locks in two orders are a deadlock", "[explore]") {
  const auto model = [](bool same_order) {
    modelled::Mutex a;
    modelled::Mutex b;
    modelled::Thread other([&] {
      const modelled::Lock first(a);
      const modelled::Lock second(b);
    });
    {
      const modelled::Lock first(same_order ? a : b);
      const modelled::Lock second(same_order ? b : a);
    }
    other.join();
  };
  const Exploration found = explore([&] { model(false); });
  CHECK(found.failure == "deadlock: A waits for a mutex, B waits for a mutex");
  const Exploration sound = explore([&] { model(true); });
  CHECK(sound.passed());
  CHECK(sound.complete);
  CHECK(sound.executions == 2);
}

TEST_CASE("explorer: a lost wake-up is a deadlock", "[explore]") {
  CHECK(explore([] { sleep_and_wake(true, true); }).passed());
  const Exploration lost = explore([] { sleep_and_wake(false, true); });
  CHECK(lost.failure == "deadlock: A waits for a notification or a mutex");
  CHECK_THAT(lost.table, ContainsSubstring("notifies one of c0") && ContainsSubstring("waits for c0, unlocks m0"));
}

TEST_CASE("explorer: a notification that comes before the wait is lost", "[explore]") {
  const Exploration found = explore([] {
    modelled::Mutex mutex;
    modelled::Condition condition;
    modelled::Thread waiter([&] {
      mutex.lock();
      condition.wait(mutex);
      mutex.unlock();
    });
    condition.notify_one();
    waiter.join();
  });
  CHECK(found.failure == "deadlock: A waits for a thread's end, B waits for a notification or a mutex");
  const Exploration reverse = explore([] {
    modelled::Mutex mutex;
    modelled::Condition condition;
    modelled::Thread notifier([&] { condition.notify_one(); });
    mutex.lock();
    condition.wait(mutex);
    mutex.unlock();
    notifier.join();
  });
  CHECK(reverse.failure == "deadlock: A waits for a notification or a mutex");
}

TEST_CASE("explorer: spurious wake-ups come as often as allowed", "[explore]") {
  ExploreOptions options;
  CHECK(explore([] { sleep_and_wake(true, false); }, options).passed());
  options.spurious = 1;
  CHECK(explore([] { sleep_and_wake(true, true); }, options).passed());
  const Exploration found = explore([] { sleep_and_wake(true, false); }, options);
  CHECK(found.failure == "thread A: it wakes when it is set");
  CHECK_THAT(found.table, ContainsSubstring("wakes spuriously, locks m0"));
}

TEST_CASE("explorer: weak compare-exchanges fail as often as allowed", "[explore]") {
  const auto model = [] {
    modelled::Atomic<int> value(0);
    int expected = 0;
    modelled::check(value.compare_exchange_weak(expected, 1), "the first one wins");
  };
  ExploreOptions options;
  CHECK(explore(model, options).executions == 1);
  options.spurious = 1;
  CHECK(explore(model, options).failure == "thread A: the first one wins");
  const Exploration loop = explore(
      [] {
        modelled::Atomic<int> value(0);
        int expected = 0;
        while (!value.compare_exchange_weak(expected, 1)) expected = 0;
      },
      options);
  CHECK(loop.passed());
  CHECK(loop.executions == 2);
}

TEST_CASE("explorer: a notification wakes one of those who wait, any of them", "[explore]") {
  const auto model = [](bool all) {
    modelled::Mutex mutex;
    modelled::Condition condition;
    modelled::Cell<int> waiting(0);
    modelled::Cell<bool> is_set(false);
    const auto wait = [&] {
      mutex.lock();
      waiting.set(waiting.get() + 1);
      while (!is_set.get()) condition.wait(mutex);
      mutex.unlock();
    };
    modelled::Thread first(wait);
    modelled::Thread second(wait);
    mutex.lock();
    is_set.set(true);
    mutex.unlock();
    if (all) {
      condition.notify_all();
    } else {
      condition.notify_one();
    }
    first.join();
    second.join();
  };
  const Exploration all = explore([&] { model(true); });
  CHECK(all.passed());
  CHECK(all.complete);
  const Exploration one = explore([&] { model(false); });
  CHECK_THAT(one.failure, StartsWith("deadlock: A waits for a thread's end"));
}

TEST_CASE("explorer: an object that is destroyed while it is used is reported", "[explore]") {
  CHECK(explore([] { last_one_deletes(Order::acq_rel); }).passed());
  for (const Order order : {Order::relaxed, Order::acquire, Order::release}) {
    const Exploration found = explore([order] { last_one_deletes(order); });
    CHECK_THAT(found.failure, ContainsSubstring("is destroyed"));
  }
}

TEST_CASE("explorer: an atomic that is destroyed while it is used is reported", "[explore]") {
  const auto model = [](Order order) {
    auto* references = new modelled::Atomic<int>(2);
    const auto drop = [references, order] {
      if (references->fetch_sub(1, order) == 1) delete references;
    };
    modelled::Thread other(drop);
    drop();
    other.join();
  };
  CHECK(explore([&] { model(Order::acq_rel); }).passed());
  CHECK_THAT(explore([&] { model(Order::relaxed); }).failure, ContainsSubstring("an atomic is destroyed in a race with thread"));
}

TEST_CASE("explorer: use after the end is reported", "[explore]") {
  const Exploration atomic = explore([] {
    static modelled::Atomic<int>* volatile value = nullptr;  // so that no compiler sees through it
    value = new modelled::Atomic<int>(1);
    delete value;
    value->load();
  });
  CHECK(atomic.failure == "thread A: an atomic is used after its end");
  const Exploration cell = explore([] {
    static modelled::Cell<int>* volatile value = nullptr;
    value = new modelled::Cell<int>(1);
    value->set(2);
    delete value;
    value->get();
  });
  CHECK(cell.failure == "thread A: a cell is read after its end");
}

TEST_CASE("explorer: memory that leaks, or is freed twice, is reported", "[explore]") {
  static int* volatile place = nullptr;  // so that the compiler keeps what nobody needs
  CHECK(explore([] {
          place = new int(1);
          delete place;
        }).passed());
  CHECK(explore([] { place = new int(1); }).failure == "a leak: 1 block of memory not freed");
  CHECK(explore([] {
          place = new int[2];
          place = new int(1);
        }).failure == "a leak: 2 blocks of memory not freed");
  CHECK(explore([] {
          place = new int(1);
          delete place;
          delete place;
        }).failure == "thread A: memory is freed twice, or not where it begins");
  CHECK(explore([] { last_one_deletes(Order::acq_rel); }).passed());
  const Exploration found = explore([] {
    auto* shared = new modelled::Atomic<int>(0);
    modelled::Thread other([shared] { delete shared; });
    other.join();
    shared->load();
  });
  CHECK(found.failure == "thread A: an atomic is used after its end");
}

TEST_CASE("explorer: what a model keeps outside is not its memory", "[explore]") {
  std::vector<std::string> kept;
  const Exploration found = explore([&] {
    const std::string text(100, 'x');
    modelled::outside([&] { kept.push_back(text + "y"); });
  });
  CHECK(found.passed());
  REQUIRE(kept.size() == 1);
  CHECK(kept[0] == std::string(100, 'x') + "y");
}

TEST_CASE("explorer: what a thread has captured ends with the thread", "[explore]") {
  const Exploration found = explore([] {
    auto shared = std::make_shared<int>(1);
    modelled::Thread other([mine = shared] { modelled::check(*mine == 1, "it is there"); });
    other.join();
    modelled::check(shared.use_count() == 1, "nobody else has it");
  });
  CHECK(found.failure.empty());
}

namespace {

// What a thread captures: how many there are in this execution.
class Held {
 public:
  Held() { ++alive; }
  Held(Held&&) noexcept { ++alive; }
  Held& operator=(Held&&) = delete;
  ~Held() { --alive; }
  static inline int alive = 0;
};

}  // namespace

TEST_CASE("explorer: what threads have captured is not destroyed in another execution than theirs", "[explore]") {
  const Exploration found = explore([] {
    Held::alive = 0;
    modelled::Atomic<int> sum(0);
    const auto work = [&] {
      return [&sum, held = Held()] {
        int old = sum.load(Order::relaxed);
        while (!sum.compare_exchange_strong(old, old + 1, Order::relaxed, Order::relaxed)) {
        }
      };
    };
    {
      modelled::Thread one(work());
      modelled::Thread two(work());
      modelled::Thread three(work());
      one.join();
      two.join();
      three.join();
    }
    modelled::check(Held::alive == 0, "all of them ended in this execution, and no other");
  });
  CHECK(found.failure.empty());
  CHECK(found.complete);
  CHECK(found.pruned != 0);  // else this shows nothing: executions that end destroy what is theirs
}

TEST_CASE("explorer: a loop that waits goes on when there is something new", "[explore]") {
  const Exploration found = explore([] {
    modelled::Atomic<int> flag(0);
    modelled::Thread other([&] { flag.store(1, Order::relaxed); });
    while (flag.load(Order::relaxed) == 0) modelled::yield();
    other.join();
  });
  CHECK(found.passed());
  CHECK(found.complete);
  const Exploration never = explore([] {
    modelled::Atomic<int> flag(0);
    modelled::Thread other([&] { flag.store(0, Order::relaxed); });
    while (flag.load(Order::relaxed) == 0) modelled::yield();
    other.join();
  });
  CHECK(never.failure == "deadlock: A spins");
}

TEST_CASE("explorer: a loop without end is a livelock", "[explore]") {
  ExploreOptions options;
  options.steps = 50;
  const Exploration found = explore(
      [] {
        modelled::Atomic<int> flag(0);
        while (flag.load() == 0) {
        }
      },
      options);
  CHECK(found.failure == "an execution of more than 50 operations: a livelock, or too large a model");
}

TEST_CASE("explorer: misuse of modelled objects is reported", "[explore]") {
  CHECK(explore([] {
          modelled::Mutex mutex;
          mutex.unlock();
        }).failure == "thread A: a mutex is released by a thread that does not have it");
  CHECK(explore([] {
          modelled::Mutex mutex;
          mutex.lock();
          mutex.lock();
        }).failure == "thread A: a thread locks a mutex that it has");
  CHECK(explore([] {
          modelled::Mutex mutex;
          mutex.lock();
        }).failure == "thread A: a mutex is destroyed while thread A has it");
  CHECK(explore([] { const modelled::Thread other([] {}); }).failure == "thread A: a thread is not joined");
  CHECK(explore([] {
          std::vector<modelled::Thread> threads;
          for (int count = 0; count != 8; ++count) threads.emplace_back([] {});
        }).failure == "thread A: too many threads: the explorer has room for 8");
  CHECK(explore([] { throw std::runtime_error("oops"); }).failure == "thread A: throws: oops");
  CHECK(explore([] { throw 5; }).failure == "thread A: throws");
}

TEST_CASE("explorer: a thread knows what its maker did, and who joins it what it did", "[explore]") {
  const Exploration found = explore([] {
    modelled::Cell<int> value(0);
    value.set(1);
    modelled::Thread other([&] { value.set(value.get() + 1); });
    other.join();
    modelled::check(value.get() == 2, "both");
  });
  CHECK(found.passed());
  CHECK(found.executions == 1);
  const Exploration race = explore([] {
    modelled::Cell<int> value(0);
    modelled::Thread other([&] { value.set(1); });
    value.set(2);
    other.join();
  });
  CHECK_THAT(race.failure, ContainsSubstring("data race: a cell is written while thread "));
  const Exploration late = explore([] {
    modelled::Cell<int> value(0);
    modelled::Thread other([&] { value.get(); });
    value.set(2);
    other.join();
  });
  CHECK_THAT(late.failure, ContainsSubstring("data race: a cell is "));
  const Exploration readers = explore([] {
    modelled::Cell<int> value(0);
    modelled::Atomic<int> turn(0);
    modelled::Thread other([&] {
      value.get();
      turn.store(1, Order::relaxed);
    });
    if (turn.load(Order::relaxed) == 1) value.set(2);
    other.join();
  });
  CHECK(readers.failure == "thread A: data race: a cell is written while thread B reads it");
}

TEST_CASE("explorer: bounds on preemptions and executions are kept, and said", "[explore]") {
  const auto model = [] {
    modelled::Atomic<int> value(0);
    modelled::Thread other([&] {
      for (int count = 0; count != 3; ++count) value.fetch_add(1);
    });
    for (int count = 0; count != 3; ++count) value.fetch_add(1);
    other.join();
  };
  const Exploration reduced = explore(model);
  CHECK(reduced.complete);
  CHECK(reduced.executions == 20);  // of 6 additions, which 3 are whose
  std::uint64_t last = 0;
  for (std::uint32_t bound = 0; bound != 4; ++bound) {
    ExploreOptions options;
    options.preemptions = bound;
    const Exploration found = explore(model, options);
    CHECK(found.passed());
    CHECK_FALSE(found.complete);
    CHECK(found.executions > last);
    last = found.executions;
  }
  const Exploration few = explore(model, searching(Search::reduced, 5));
  CHECK(few.executions + few.pruned == 5);
  CHECK_FALSE(few.complete);
  CHECK(few.report() == "5 executions, not all there are");
  CHECK(explore(model, searching(Search::random, 7)).executions == 7);
}

TEST_CASE("explorer: by chance and by priorities, bugs are found too", "[explore]") {
  const auto model = [] {
    // Found only when the other thread is preempted between its two operations, twice.
    modelled::Atomic<int> turn(0);
    modelled::Thread other([&] {
      turn.store(1);
      turn.store(3);
    });
    int expected = 1;
    turn.compare_exchange_strong(expected, 2);
    expected = 3;
    const bool late = turn.compare_exchange_strong(expected, 4);
    other.join();
    modelled::check(!late || turn.load() != 4 || expected != 3, "it was not between");
  };
  CHECK_FALSE(explore(model).passed());
  CHECK_FALSE(explore(model, searching(Search::random, 1000)).passed());
  CHECK_FALSE(explore(model, searching(Search::pct, 1000)).passed());
}

TEST_CASE("explorer: another seed finds other executions", "[explore]") {
  const auto choices = [](std::uint64_t seed) {
    ExploreOptions options = searching(Search::random, 1);
    options.seed = seed;
    const auto model = [] {
      modelled::Atomic<int> value(0);
      const auto count = [&] {
        for (int times = 0; times != 5; ++times) value.fetch_add(1);
      };
      modelled::Thread other(count);
      count();
      other.join();
      modelled::check(false, "seen");
    };
    return explore(model, options).choices;
  };
  CHECK(choices(1) == choices(1));
  std::set<std::string> all;
  for (std::uint64_t seed = 1; seed != 11; ++seed) all.insert(choices(seed));
  CHECK(all.size() > 5);
}
