// Shows the order in which a chain of coroutines is destroyed: innermost first, each frame's locals in reverse, the
// awaited future before the frame that awaits it; on return, throw and cancel; and that what an inner frame refers to
// in an outer one is still alive. Destroying moved, fresh, waiting and finished ones.
#include <stdexcept>
#include <string>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Writes its name down when it goes, and reads through a reference to what must still be alive.
struct Trace {
  Trace(std::vector<std::string>& log, std::string name, const int& lent)
      : log_(log), name_(std::move(name)), lent_(lent) {}
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace() {
    CHECK(lent_ == 77);
    log_.push_back(name_);
  }

 private:
  std::vector<std::string>& log_;
  std::string name_;
  const int& lent_;
};

enum class Ending { returns, throws, cancelled };

std::ostream& operator<<(std::ostream& out, Ending ending) {
  constexpr const char* names[] = {"returns", "throws", "cancelled"};
  return out << names[static_cast<int>(ending)];
}

Async<void> chain(std::vector<std::string>& log, int depth, const int& lent, ScriptedFuture<void>& leaf) {
  const std::string level = std::to_string(depth);
  const Trace first(log, "first " + level, lent);
  int mine = 77;
  const Trace second(log, "second " + level, lent);
  if (depth == 0) {
    co_await leaf;
  } else {
    Async<void> inner = chain(log, depth - 1, mine, leaf);
    co_await inner;
  }
}

}  // namespace

TEST_CASE("a chain is destroyed innermost first, locals in reverse", "[coroutine][destructor]") {
  const Ending ending = GENERATE(Ending::returns, Ending::throws, Ending::cancelled);
  const bool by_handle = GENERATE(true, false);
  CAPTURE(ending, by_handle);
  Ledger ledger;
  std::vector<std::string> log;
  const int lent = 77;
  bool go = false;
  KeptWaker waker(WakerKind::local);
  ScriptedFuture<void> leaf(ledger, [&](Context& context) -> Poll<void> {
    if (!go) {
      waker.keep(context);
      return Pending;
    }
    if (ending == Ending::throws) throw std::runtime_error("on purpose");
    return Ready();
  });
  const std::vector<std::string> expected{"second 0", "first 0", "second 1", "first 1", "second 2", "first 2"};
  const audited::FramePoolStats before = audited::frame_pool_stats();
  {
    std::optional<Executor> executor(std::in_place);
    JoinHandle<void> handle = executor->spawn(chain(log, 2, lent, leaf));
    CHECK(executor->run_until_stalled() == 1);
    CHECK(log.empty());
    CHECK(audited::frame_pool_stats().taken - before.taken == 3);
    CHECK(audited::frame_pool_stats().freed == before.freed);
    if (ending == Ending::cancelled) {
      if (by_handle) {
        handle.cancel();
      } else {
        executor.reset();
      }
    } else {
      go = true;
      waker.wake_by_ref();
      CHECK(executor->run_until_stalled() == 1);
    }
    CHECK(log == expected);
    CHECK(audited::frame_pool_stats().freed - before.freed == 3);
    switch (ending) {
      case Ending::returns:
        CHECK(handle.try_join().has_value());
        break;
      case Ending::throws:
        CHECK_THROWS_AS(handle.try_join(), std::runtime_error);
        break;
      case Ending::cancelled:
        CHECK_THROWS_AS(handle.try_join(), TaskCancelled);
        break;
    }
  }
  waker.drop();
  CHECK(log == expected);
}

TEST_CASE("the chain of a waiting coroutine is visible, and its frames are counted", "[coroutine]") {
  const int depth = GENERATE(0, 1, 20);
  CAPTURE(depth);
  Ledger ledger;
  std::vector<std::string> log;
  const int lent = 77;
  bool go = false;
  ScriptedFuture<void> leaf(ledger,
                            [&](Context&) -> Poll<void> { return go ? Poll<void>(Ready()) : Poll<void>(Pending); });
  const Waker waker;
  Context context(waker);
  Async<void> async = chain(log, depth, lent, leaf);
  CHECK(async.check_deep() == 0);
  CHECK(async.poll(context).is_pending());
  CHECK(async.check_deep() == static_cast<std::size_t>(depth) + 1);
  CHECK(async.waiting_at() != nullptr);
  CHECK(async.poll(context).is_pending());
  CHECK(ledger.polls == 2);  // the leaf, whatever the depth
  go = true;
  CHECK(async.poll(context).is_ready());
  CHECK(ledger.polls == 3);
  CHECK(async.check_deep() == 0);
  CHECK(async.waiting_at() == nullptr);
  CHECK(log.size() == 2 * (static_cast<std::size_t>(depth) + 1));
}

TEST_CASE("a child that is a variable: its frame goes when it is done, before the awaiter goes on", "[coroutine]") {
  const bool temporary = GENERATE(false, true);
  CAPTURE(temporary);
  std::vector<std::string> log;
  const int lent = 77;
  auto child = [](std::vector<std::string>& out, const int& value) -> Async<int> {
    const Trace local(out, "child", value);
    co_return 1;
  };
  auto parent = [&](std::vector<std::string>& out) -> Async<int> {
    const Trace local(out, "parent", lent);
    int value = 0;
    if (temporary) {
      value = co_await child(out, lent);
    } else {
      Async<int> mine = child(out, lent);
      value = co_await mine;
    }
    out.emplace_back("awaited");
    co_return value;
  };
  CHECK(run(parent(log)) == 1);
  CHECK(log == std::vector<std::string>{"child", "awaited", "parent"});
}

TEST_CASE("children that are never awaited, awaited in another order, and left waiting", "[coroutine]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  auto child = [](Counted value) -> Async<int> {
    co_await yield_now();
    co_return value.value();
  };
  auto parent = [&]() -> Async<int> {
    Async<int> first = child(Counted(ledger, 1));
    Async<int> second = child(Counted(ledger, 2));
    const Async<int> never = child(Counted(ledger, 4));
    const int b = co_await second;
    CHECK(ledger.values_alive() == 2);
    const int a = co_await first;
    CHECK(ledger.values_alive() == 1);
    co_return a + b;
  };
  CHECK(executor.block_on(parent) == 3);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 3, .completed = 1, .freed = 1, .local_wakes = 2, .enqueued = 3});
}
