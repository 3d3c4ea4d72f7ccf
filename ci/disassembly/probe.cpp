// The same-thread paths whose machine code ci/checks/disassembly reads: one function each, and no other thread anywhere.
// Each makes its own Executor, so that all tables that its calls go through are mentioned by code that the walk reaches.
#include <chrono>
#include <cstdlib>

#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"

#define PROBE extern "C" __attribute__((noinline)) void

namespace {

using namespace std::chrono_literals;

void must(bool holds) {
  if (!holds) std::abort();
}

// Pending until `go`; leaves its waker outside.
struct Gate {
  using Output = int;
  assay::LocalWaker& waker;
  const bool& go;
  assay::Poll<int> poll(assay::Context& context) {
    if (go) return assay::Ready(3);
    waker = context.local_waker();
    return assay::Pending;
  }
};

struct Immediate {
  using Output = int;
  assay::Poll<int> poll(assay::Context&) { return assay::Ready(3); }
};

assay::Async<int> child(int n) { co_return n + 1; }
assay::Async<int> parent(int n) { co_return co_await child(n) + co_await child(n); }
assay::Async<void> yields(int times) {
  for (int i = 0; i < times; ++i) co_await assay::yield_now();
}
assay::Async<int> joins(assay::Executor& executor) {
  auto handle = executor.spawn(child(2));
  const int n = co_await handle;
  co_return n;
}
assay::Async<void> sleeps(std::chrono::nanoseconds delay) { co_await assay::sleep(delay); }

}  // namespace

PROBE probe_poll_task() {
  assay::Executor executor;
  auto handle = executor.spawn(Immediate{});
  executor.run_until_stalled();
  must(*handle.try_join() == 3);
}

PROBE probe_wake_local() {
  assay::Executor executor;
  assay::LocalWaker waker;
  bool go = false;
  auto handle = executor.spawn(Gate{waker, go});
  executor.run_until_stalled();
  assay::LocalWaker copy = waker;
  go = true;
  copy.wake_by_ref();
  std::move(copy).wake();
  executor.run_until_stalled();
  must(*handle.try_join() == 3);
}

PROBE probe_yield() {
  assay::Executor executor;
  auto handle = executor.spawn(yields(100));
  executor.run_until_stalled();
  must(handle.try_join().has_value());
}

PROBE probe_await_child() {
  assay::Executor executor;
  auto handle = executor.spawn(parent(2));
  executor.run_until_stalled();
  must(*handle.try_join() == 6);
}

PROBE probe_spawn_join() {
  assay::Executor executor;
  auto handle = executor.spawn(joins(executor));
  executor.run_until_stalled();
  must(*handle.try_join() == 3);
}

PROBE probe_cancel() {
  assay::Executor executor;
  assay::LocalWaker waker;
  bool go = false;
  auto handle = executor.spawn(Gate{waker, go});
  executor.run_until_stalled();
  handle.cancel();
  must(handle.is_cancelled());
}

PROBE probe_timer_arm_cancel() {
  assay::Executor executor;
  auto handle = executor.spawn(sleeps(1h));
  executor.run_until_stalled();
  must(executor.timers().size() == 1);
  handle.cancel();
  must(executor.timers().empty());
}

PROBE probe_timer_fire() {
  assay::Executor executor;
  auto handle = executor.spawn(sleeps(0ns));
  while (!handle.is_finished()) executor.run_until_stalled();
  must(handle.try_join().has_value());
}

int main() {
  probe_poll_task();
  probe_wake_local();
  probe_yield();
  probe_await_child();
  probe_spawn_join();
  probe_cancel();
  probe_timer_arm_cancel();
  probe_timer_fire();
  return 0;
}
