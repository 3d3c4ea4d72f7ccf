// The probes of `mini_tokio`, the illustrated runtime, each as a test of ours (see BUGS.md: B33 m3, D08 m4, H10 m5,
// J02).
#include <sys/resource.h>

#include <chrono>
#include <vector>

#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

std::chrono::microseconds processor_time() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto micros = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

}  // namespace

TEST_CASE("B33 mini_tokio m3: waiting burns no processor time, and polls twice", "[regression]") {
  const Kind kind = GENERATE(Kind::future, Kind::coroutine);
  CAPTURE(kind);
  Executor executor;
  constexpr auto delay = std::chrono::milliseconds(200);
  const auto before = processor_time();
  if (kind == Kind::future) {
    executor.block_on(Sleep(delay));
  } else {
    auto nap = [](std::chrono::milliseconds length) -> Async<void> { co_await sleep(length); };
    executor.block_on(nap, delay);
  }
  CHECK(executor.stats().polls == 2);
  CHECK(processor_time() - before < delay / 2);  // a busy loop takes all of it
}

TEST_CASE("D08 mini_tokio m4: a task that spawns while it is polled does not deadlock", "[regression]") {
  const Kind kind = ANY_KIND();
  const int count = GENERATE(1, 100);
  CAPTURE(kind, count);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  int ran = 0;
  JoinHandle<int> handle =
      spawn_as(executor, kind, ScriptedFuture<int>(ledger, [&](Context&) -> Poll<int> {
                 for (int i = 0; i < count; ++i) {
                   executor.spawn_detached(ScriptedFuture<int>(ledger, [&ran](Context&) -> Poll<int> {
                     ++ran;
                     return Ready(1);
                   }));
                 }
                 return Ready(count);
               }));
  const auto n = static_cast<std::uint64_t>(count);
  CHECK(executor.run_until_stalled() == n + 1);
  CHECK(ran == count);
  CHECK(probe.step() ==
        Step{.spawned = n + 1, .polls = n + 1, .completed = n + 1, .freed = n, .enqueued = n + 1, .live = 1});
  CHECK(handle.try_join() == count);
}

TEST_CASE("H10 mini_tokio m5: only what was woken is polled", "[regression]") {
  const Kind kind = ANY_KIND();
  const WakerKind waker_kind = ANY_WAKER();
  constexpr std::size_t count = 50;
  CAPTURE(kind, waker_kind);
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::vector<KeptWaker> wakers(count, KeptWaker(waker_kind));
  std::vector<JoinHandle<int>> handles;
  bool ready = false;
  for (std::size_t i = 0; i < count; ++i)
    handles.push_back(spawn_as(executor, kind, waiting_script(ledger, wakers.at(i), ready)));
  CHECK(executor.run_until_stalled() == count);
  CHECK(probe.step() == Step{.spawned = count, .polls = count, .enqueued = count, .live = count, .futures = count});
  const bool local = waker_kind == WakerKind::local;
  for (std::size_t i = 0; i < count; ++i) {
    wakers.at(i).wake_by_ref();
    CHECK(executor.run_until_stalled() == 1);
    CHECK(probe.step() == Step{.polls = 1,
                               .local_wakes = local ? 1U : 0U,
                               .remote_wakes = local ? 0U : 1U,
                               .enqueued = 1,
                               .live = count,
                               .futures = count});
  }
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.live = count, .futures = count});
}
