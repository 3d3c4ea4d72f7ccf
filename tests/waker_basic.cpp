// Shows the owning wakers by themselves: who holds how many references after each copy, move, assignment, wake and
// drop; which wakers are the same; the no-op and function wakers; tables that re-enter; and tables that break their
// promises.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "assay/poll.hpp"
#include "assay/run.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using testkit::CountingWaker;

namespace {

struct Counts {
  std::uint64_t wakes = 0;
  std::uint64_t clones = 0;
  std::uint64_t drops = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Counts& counts) {
    return out << "{wakes " << counts.wakes << ", clones " << counts.clones << ", drops " << counts.drops << '}';
  }
};

Counts counts(const CountingWaker& waker) { return {waker.wakes(), waker.clones(), waker.drops()}; }

RawWaker never_clone(void*) noexcept { return RawWaker{}; }
void nothing(void*) noexcept {}

}  // namespace

TEST_CASE("every operation on a Waker, counted", "[waker]") {
  CountingWaker family;
  {
    Waker first = family.waker();
    CHECK(counts(family) == Counts{});
    first.wake_by_ref();
    CHECK(counts(family) == Counts{.wakes = 1});
    Waker second = first;
    CHECK(counts(family) == Counts{.wakes = 1, .clones = 1});
    Waker third = std::move(second);
    CHECK(counts(family) == Counts{.wakes = 1, .clones = 1});
    second.wake_by_ref();  // moved from: the no-op waker
    std::move(second).wake();
    CHECK(counts(family) == Counts{.wakes = 1, .clones = 1});
    std::move(third).wake();
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 1, .drops = 1});
    std::move(third).wake();
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 1, .drops = 1});
    third = first;
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 2, .drops = 1});
    third = first;  // a copy, then the old one goes
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 3, .drops = 2});
    Waker& same = third;
    third = same;
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 4, .drops = 3});
    third = std::move(same);
    CHECK(counts(family) == Counts{.wakes = 2, .clones = 4, .drops = 3});
    third.wake_by_ref();
    CHECK(counts(family) == Counts{.wakes = 3, .clones = 4, .drops = 3});
    const LocalWaker local(first);
    CHECK(counts(family) == Counts{.wakes = 3, .clones = 5, .drops = 3});
    local.wake_by_ref();
    CHECK(counts(family) == Counts{.wakes = 4, .clones = 5, .drops = 3});
  }
  CHECK(counts(family) == Counts{.wakes = 4, .clones = 5, .drops = 6});  // each clone, and the first
}

TEST_CASE("wake_again outside an executor wakes the context's waker", "[waker]") {
  testkit::CountingWaker family;
  {
    const Waker waker = family.waker();
    Context context(waker);
    context.wake_again();
    CHECK(counts(family) == Counts{.wakes = 1});
    context.wake_again();
    CHECK(counts(family) == Counts{.wakes = 2});
    CHECK(context.wakes() == 0);  // nobody is to read them
  }
  CHECK(counts(family) == Counts{.wakes = 2, .drops = 1});
}

TEST_CASE("from_raw and into_raw pass one reference", "[waker]") {
  CountingWaker family;
  {
    Waker waker = family.waker();
    const RawWaker raw = std::move(waker).into_raw();
    CHECK(counts(family) == Counts{});
    CHECK(waker.will_wake(noop_waker()));
    const Waker again = Waker::from_raw(raw);
    CHECK(counts(family) == Counts{});
    CHECK(again.as_raw() == raw);
  }
  CHECK(counts(family) == Counts{.drops = 1});
}

TEST_CASE("A08 each kind of waker counts the task's reference: clones equal drops at the end", "[waker][regression]") {
  const WakerKind kind = ANY_WAKER();
  const int copies = GENERATE(1, 2, 50);
  CAPTURE(kind, copies);
  Ledger ledger;
  Executor executor;
  KeptWaker waker(kind);
  bool ready = true;
  KeptWaker* const target = &waker;
  JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [target, &ready](Context& context) -> Poll<int> {
    target->keep(context);
    return ready ? Poll<int>(Ready(1)) : Poll<int>(Pending);
  }));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(handle.try_join() == 1);
  std::vector<KeptWaker> all(static_cast<std::size_t>(copies), waker);
  waker.drop();
  for (int i = 0; i < copies; ++i) {
    CHECK(executor.live_tasks() == 1);
    executor.check_deep();
    all.pop_back();
    executor.run_until_stalled();
  }
  CHECK(executor.live_tasks() == 0);
  CHECK(executor.stats().freed == 1);
}

TEST_CASE("B21 B22 will_wake: the same task in the same way", "[waker][regression]") {
  CountingWaker one;
  CountingWaker other;
  const Waker first = one.waker();
  const Waker copy = first;
  const Waker second = other.waker();
  CHECK(first.will_wake(first));
  CHECK(first.will_wake(copy));
  CHECK(copy.will_wake(first));
  CHECK_FALSE(first.will_wake(second));
  CHECK_FALSE(second.will_wake(first));
  CHECK(noop_waker().will_wake(noop_waker()));
  CHECK_FALSE(noop_waker().will_wake(first));
  CHECK(Waker().will_wake(noop_waker()));

  // Tasks: each waker of a task wakes it, whatever poll gave it; another task's does not.
  Ledger ledger;
  Executor executor;
  std::vector<Waker> wakers;
  std::vector<LocalWaker> locals;
  const auto collect = [&](Context& context) -> Poll<int> {
    wakers.push_back(context.waker());
    locals.push_back(context.local_waker());
    context.local_waker().wake_by_ref();
    return wakers.size() < 6 ? Poll<int>(Pending) : Poll<int>(Ready(1));
  };
  JoinHandle<int> a = executor.spawn(ScriptedFuture<int>(ledger, collect));
  JoinHandle<int> b = executor.spawn(ScriptedFuture<int>(ledger, collect));
  executor.run_until_stalled();
  REQUIRE(wakers.size() >= 6);
  for (std::size_t i = 0; i < wakers.size(); ++i) {
    for (std::size_t j = 0; j < wakers.size(); ++j) {
      const bool same_task = i % 2 == j % 2;
      CHECK(wakers.at(i).will_wake(wakers.at(j)) == same_task);
      CHECK(locals.at(i).will_wake(locals.at(j)) == same_task);
    }
    // Not promised either way, but this is how it is: the two kinds count different references.
    CHECK_FALSE(LocalWaker(wakers.at(i)).will_wake(locals.at(i)));
  }
}

TEST_CASE("A37 the no-op waker is valid on every thread, and allocates nothing", "[waker][regression]") {
  Waker from_thread;
  std::thread([&from_thread] { from_thread = noop_waker(); }).join();
  const auto before = testkit::allocation_counts();
  const Waker copy = from_thread;
  copy.wake_by_ref();
  Waker(copy).wake();
  const auto after = testkit::allocation_counts();
  CHECK(before.news == after.news);
  CHECK(copy.will_wake(noop_waker()));
}

TEST_CASE("a function waker calls its function at each wake, and frees it with the last copy", "[waker]") {
  auto count = std::make_shared<std::atomic<int>>(0);
  std::weak_ptr<std::atomic<int>> alive = count;
  {
    Waker waker = function_waker([count = std::move(count)] { ++*count; });
    CHECK(*alive.lock() == 0);
    waker.wake_by_ref();
    CHECK(*alive.lock() == 1);
    std::vector<Waker> copies(5, waker);
    for (Waker& copy : copies) std::move(copy).wake();
    CHECK(*alive.lock() == 6);
    std::thread([copy = waker] { copy.wake_by_ref(); }).join();
    CHECK(*alive.lock() == 7);
    std::move(waker).wake();
    CHECK(alive.expired());  // the last reference was given up by the wake
    waker.wake_by_ref();
  }
  CHECK(alive.expired());
}

TEST_CASE("D01 D02 a waker whose clone, wake and drop re-enter what holds it", "[waker][regression]") {
  const Kind kind = ANY_KIND();
  const int hook = GENERATE(0, 1, 2);
  CAPTURE(kind, hook);
  Ledger ledger;
  Executor executor;
  KeptWaker waker(WakerKind::local);
  bool ready = false;
  JoinHandle<int> handle = spawn_as(executor, kind, waiting_script(ledger, waker, ready));
  KeptWaker other_waker(WakerKind::any_thread);
  JoinHandle<int> other = spawn_as(executor, kind, waiting_script(ledger, other_waker, ready));
  CHECK(executor.run_until_stalled() == 2);
  CountingWaker family;
  int entered = 0;
  const auto reenter = [&] {
    ++entered;
    executor.check_deep();
    const JoinHandle<int> spawned =
        executor.spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(1); }));
    other.cancel();
    static_cast<void>(executor.tasks());
    static_cast<void>(handle.is_finished());
  };
  (hook == 0 ? family.on_clone : hook == 1 ? family.on_wake : family.on_drop) = reenter;
  {
    const Waker mine = family.waker();
    Context context(mine);
    CHECK(handle.poll(context).is_pending());
    CHECK(handle.poll(context).is_pending());
    CHECK(counts(family) == Counts{.clones = 1});
    CountingWaker next;
    const Waker changed = next.waker();
    Context second(changed);
    if (hook == 2) CHECK(handle.poll(second).is_pending());  // drops the first
    handle.cancel();
    CHECK(entered == 1);
    CHECK(handle.is_finished());
    CHECK_THROWS_AS(handle.poll(context), TaskCancelled);
    family.on_drop = nullptr;
  }
  CHECK(family.clones() + 1 == family.drops());
  CHECK(other.is_cancelled());
  executor.run_until_stalled();
  executor.check_deep();
}

TEST_CASE("the wakers of run() outlive it", "[waker]") {
  Waker kept;
  Ledger ledger;
  CHECK(run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
          kept = context.waker();
          CHECK(context.local_waker().will_wake(LocalWaker(context.waker())));
          CHECK(context.executor() == nullptr);
          return Ready(3);
        })) == 3);
  const auto before = testkit::allocation_counts();
  Waker copy = kept;
  kept.wake_by_ref();
  std::move(kept).wake();
  CHECK(testkit::allocation_counts().deletes == before.deletes);
  std::thread([last = std::move(copy)]() mutable { std::move(last).wake(); }).join();
  CHECK(copy.will_wake(noop_waker()));
}

TEST_CASE("abort: a waker table that breaks its promises", "[waker][abort]") {
  check_dies("Waker::from_raw was given no vtable", [] { static_cast<void>(Waker::from_raw(RawWaker{})); });
  check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [] {
    static constexpr RawWakerVTable table{nullptr, nothing, nothing, nothing};
    static_cast<void>(Waker::from_raw(RawWaker{nullptr, &table}));
  });
  check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [] {
    static constexpr RawWakerVTable table{never_clone, nullptr, nothing, nothing};
    static_cast<void>(Waker::from_raw(RawWaker{nullptr, &table}));
  });
  check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [] {
    static constexpr RawWakerVTable table{never_clone, nothing, nullptr, nothing};
    static_cast<void>(Waker::from_raw(RawWaker{nullptr, &table}));
  });
  check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [] {
    static constexpr RawWakerVTable table{never_clone, nothing, nothing, nullptr};
    static_cast<void>(Waker::from_raw(RawWaker{nullptr, &table}));
  });
  check_dies_from_level<2>("a waker's clone function returned no vtable", [] {
    static constexpr RawWakerVTable table{never_clone, nothing, nothing, nothing};
    const Waker waker = Waker::from_raw(RawWaker{nullptr, &table});
    const Waker copy = waker;
  });
  check_dies("the value of a Pending poll was taken", [] {
    Poll<int> poll = Pending;
    static_cast<void>(std::move(poll).take());
  });
  check_dies("the value of a Pending poll was taken", [] {
    Poll<void> poll = Pending;
    std::move(poll).take();
  });
}
