// Every allocation of what is between threads fails, in its turn: that one only, and all from there on. What cannot be made throws
// std::bad_alloc, where it was asked for or out of the handle; nothing is lost, and all of it works afterwards.
#include <optional>
#include <utility>

#include <catch2/catch_test_macros.hpp>

#include "assay/assay.hpp"
#include "assay/threads.hpp"
#include "fault_support.hpp"

using namespace assay;
using assay::test::check_loop;
using assay::test::expect_usable;
using assay::test::SiteRecord;
using assay::test::twice;
using assay::testkit::each_allocation_fails;
using assay::testkit::expect;
using assay::testkit::FaultRegion;

TEST_CASE("remote tasks: what cannot be made throws, here or out of the handle", "[fault][threads]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Executor executor;
    std::optional<threads::Remote> remote;
    int sum = 0;
    const bool is_done = faults([&] {
      remote.emplace(executor);
      auto first = remote->spawn(twice, 4);
      auto second = remote->spawn(twice(17));
      executor.run_until_stalled();
      sum = first.join() + second.join();
    });
    expect(!is_done || sum == 42, "what the remote tasks yield");
    executor.run_until_stalled();
    if (remote) expect(executor.live_tasks() == 1, "the task that serves the Remote lives on, and no other");
    remote.reset();
    executor.run_until_stalled();
    expect_usable(executor);
  }));
}

TEST_CASE("channels and oneshots between threads: what cannot be made throws, and what is in them stays", "[fault][threads]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    std::optional<threads::Receiver<int>> kept;
    int sent = 0;
    int received = 0;
    faults([&] {
      auto [sender, receiver] = threads::channel<int>(4);
      kept.emplace(std::move(receiver));
      for (; sent != 2; ++sent) expect(!sender.try_send(1), "there is room");
      if (run(sender.send(1))) ++sent;
      auto [one_sender, one_receiver] = threads::oneshot<int>();
      expect(one_sender.send(1), "somebody waits");
      expect(run(one_receiver) == 1, "what was sent");
    });
    if (!kept) return;
    while (run(kept->recv())) ++received;
    expect(received >= sent && received <= sent + 1, "what was sent is received");
  }));
}

namespace {

// A thread that does nothing, so that all is allocated and freed on the one that is watched.
class Idle {
 public:
  template <class Body>
  explicit Idle(Body) {}
  void join() {}
};

}  // namespace

TEST_CASE("a pool: a job that cannot be made throws, and is not in it", "[fault][threads]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    threads::BasicBlockingPool<Idle> pool({.max_threads = 1});
    std::optional<threads::RemoteHandle<int>> handle;
    const bool is_made = faults([&] { handle.emplace(pool.spawn_blocking([](int number) { return number; }, 7)); });
    expect(is_made == handle.has_value(), "it throws, or gives a handle");
    expect(pool.waiting_jobs() == (is_made ? 1U : 0U), "the jobs that wait");
    expect(pool.threads() == (is_made ? 1U : 0U), "the threads that were started");
    auto next = pool.spawn_blocking([] { return 8; });
    expect(pool.threads() == 1, "one thread, whatever was denied");
    expect(pool.waiting_jobs() == (is_made ? 2U : 1U), "the pool goes on taking jobs");
  }));
}
