// The bugs of `extreme`, the 44-line run(), each as a test of ours (see BUGS.md, rows A01, A02, B01, B03, A36, A44).
#include <optional>
#include <thread>
#include <vector>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("A01 extreme README 1: a waker kept past the return of run() points to nothing of its stack",
          "[regression]") {
  const Kind kind = GENERATE(Kind::future, Kind::coroutine);
  const bool other_thread = GENERATE(false, true);
  CAPTURE(kind, other_thread);
  std::vector<Waker> kept;
  Ledger ledger;
  const auto use_stack = [] {
    volatile char bytes[4096];
    for (volatile char& byte : bytes) byte = 'x';
  };
  for (int i = 0; i < 3; ++i) {
    ScriptedFuture<int> script(ledger, [&](Context& context) -> Poll<int> {
      kept.push_back(context.waker());
      return Ready(i);
    });
    CHECK((kind == Kind::future ? run(script) : run(awaiting(std::move(script)))) == i);
    use_stack();
  }
  const auto use = [&] {
    for (const Waker& waker : kept) waker.wake_by_ref();
    const std::vector<Waker> copies = kept;
    for (Waker& waker : kept) std::move(waker).wake();
  };
  if (other_thread) {
    std::thread(use).join();
  } else {
    use();
  }
  CHECK(kept.size() == 3);
  CHECK(ledger.polls == 3);
}

TEST_CASE("A02 extreme README 2: clone adds a reference, and does not give up the one it was made from",
          "[regression]") {
  const int clones = GENERATE(1, 2, 100);
  CAPTURE(clones);
  Ledger ledger;
  std::optional<Waker> first;
  CHECK(run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
          first = context.waker();
          return Ready(1);
        })) == 1);
  const std::uint64_t before = testkit::allocation_counts().deletes;
  std::uint64_t freed_early = 0;
  for (int i = 0; i < clones; ++i) {
    const Waker copy = *first;
    copy.wake_by_ref();
    Waker(copy).wake();
    const Waker copy_of_copy = copy;
    freed_early += testkit::allocation_counts().deletes - before;
  }
  CHECK(freed_early == 0);
  first->wake_by_ref();
  CHECK(testkit::allocation_counts().deletes == before);
  first.reset();
  CHECK(testkit::allocation_counts().deletes == before + 1);
}

TEST_CASE("B01 extreme README 3: a poll that parks its thread does not eat the wake of the run() around it",
          "[regression]") {
  const bool wake_first = GENERATE(true, false);
  const bool by_thread = GENERATE(true, false);
  CAPTURE(wake_first, by_thread);
  Ledger outer;
  Ledger inner;
  const auto wake = [by_thread](const Waker& waker) {
    if (by_thread) {
      std::thread([copy = waker] { copy.wake_by_ref(); }).join();
    } else {
      waker.wake_by_ref();
    }
  };
  CHECK(run(ScriptedFuture<int>(outer, [&](Context& context) -> Poll<int> {
          if (outer.polls == 2) return Ready(2);
          if (wake_first) wake(context.waker());
          // This parks: its waker is used only once it is parked, or about to be.
          std::optional<std::thread> thread;
          CHECK(run(ScriptedFuture<int>(inner, [&](Context& nested) -> Poll<int> {
                  if (inner.polls == 2) return Ready(1);
                  thread.emplace([waker = nested.waker()]() mutable { std::move(waker).wake(); });
                  return Pending;
                })) == 1);
          thread->join();
          if (!wake_first) wake(context.waker());
          return Pending;
        })) == 2);
  CHECK(outer.polls == 2);
  CHECK(inner.polls == 2);
}

TEST_CASE("B03 a wake between the poll and the park is seen: a thousand rounds", "[regression]") {
  Ledger ledger;
  constexpr std::uint64_t rounds = 1000;
  std::vector<std::thread> threads;
  CHECK(run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
          if (ledger.polls == rounds) return Ready(1);
          if (ledger.polls % 10 == 0) {
            threads.emplace_back([waker = context.waker()] { waker.wake_by_ref(); });
          } else {
            context.waker().wake_by_ref();
          }
          return Pending;
        })) == 1);
  for (std::thread& thread : threads) thread.join();
  CHECK(ledger.polls == rounds);
}

TEST_CASE("extreme: run() polls only when woken, and once per wake", "[regression]") {
  Ledger ledger;
  CHECK(run(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
          if (ledger.polls == 4) return Ready(1);
          context.waker().wake_by_ref();
          context.waker().wake_by_ref();  // coalesces
          Waker(context.waker()).wake();
          return Pending;
        })) == 1);
  CHECK(ledger.polls == 4);
  CHECK(ledger.leftovers().empty());
}
