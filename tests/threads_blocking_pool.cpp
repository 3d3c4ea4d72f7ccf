// Shows that a threads::BlockingPool starts threads when they are needed and no more than it may, runs each job once, gives back
// what it yields or throws, and ends in order.
#include <atomic>
#include <barrier>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "assay/threads.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/scale.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("a pool calls what it is given, on a thread of its own", "[threads][pool]") {
  threads::BlockingPool pool;
  CHECK(pool.threads() == 0);
  const auto sum = [](int a, std::unique_ptr<int> b) { return a + *b; };
  CHECK(pool.spawn_blocking(sum, 1, std::make_unique<int>(2)).join() == 3);
  CHECK(pool.threads() == 1);
  CHECK(pool.spawn_blocking([] { return std::this_thread::get_id(); }).join() != std::this_thread::get_id());
  static int referred = 0;
  CHECK(&pool.spawn_blocking([]() -> int& { return referred; }).join() == &referred);
  pool.spawn_blocking([] { referred = 1; }).join();
  CHECK(referred == 1);
  CHECK_THROWS_AS(pool.spawn_blocking([]() -> int { throw std::runtime_error("there"); }).join(), std::runtime_error);
  Executor executor;
  CHECK(executor.block_on(pool.spawn_blocking([] { return 7; })) == 7);
}

TEST_CASE("a pool starts a thread for each job that finds none idle, up to its bound", "[threads][pool]") {
  constexpr std::size_t bound = 3;
  threads::BlockingPool pool({.max_threads = bound});
  std::latch begun(bound);
  std::latch go(1);
  std::vector<threads::RemoteHandle<void>> handles;
  for (std::size_t count = 0; count != bound; ++count) {
    handles.push_back(pool.spawn_blocking([&] {
      begun.count_down();
      go.wait();
    }));
    CHECK(pool.threads() == count + 1);
  }
  begun.wait();
  handles.push_back(pool.spawn_blocking([] {}));
  CHECK(pool.threads() == bound);
  CHECK(pool.waiting_jobs() == 1);
  CHECK_FALSE(handles.back().is_finished());
  go.count_down();
  for (auto& handle : handles) handle.join();
  CHECK(pool.waiting_jobs() == 0);
}

TEST_CASE("a pool's end cancels what waits, and waits for what runs", "[threads][pool]") {
  Ledger ledger;
  bool is_done = false;
  std::latch begun(1);
  std::optional<threads::BlockingPool> pool(std::in_place, threads::BlockingOptions{.max_threads = 1});
  auto [go, gone] = threads::oneshot<int>();
  auto runs = pool->spawn_blocking([&, wait = std::move(gone)]() mutable {
    begun.count_down();
    run(wait);
    is_done = true;
  });
  begun.wait();
  auto waits = pool->spawn_blocking([](Counted) {}, Counted(ledger, 1));
  CHECK(ledger.values_alive() == 1);
  std::thread other([&pool] { pool.reset(); });
  CHECK_THROWS_AS(waits.join(), TaskCancelled);
  CHECK(ledger.values_alive() == 0);
  go.send(1);
  other.join();
  CHECK(is_done);
  runs.join();
}

TEST_CASE("a job that is cancelled before it begins is not run", "[threads][pool]") {
  const bool drops = GENERATE(false, true);
  bool ran = false;
  {
    threads::BlockingPool pool({.max_threads = 1});
    std::latch go(1);
    auto first = pool.spawn_blocking([&] { go.wait(); });
    std::optional<threads::RemoteHandle<void>> second(pool.spawn_blocking([&] { ran = true; }));
    auto third = pool.spawn_blocking([] {});
    drops ? second.reset() : second->cancel();
    go.count_down();
    first.join();
    third.join();
  }
  CHECK_FALSE(ran);
}

TEST_CASE("a detached job runs", "[threads][pool]") {
  auto [done, is_done] = threads::oneshot<int>();
  threads::BlockingPool pool;
  pool.spawn_blocking([mine = std::move(done)]() mutable { mine.send(3); }).detach();
  CHECK(run(is_done) == 3);
}

TEST_CASE("threads give work to one pool", "[threads][pool]") {
  const unsigned each = static_cast<unsigned>(scaled(500, 20));
  std::atomic<unsigned> ran{0};
  {
    threads::BlockingPool pool({.max_threads = 2});
    std::vector<std::thread> others;
    for (int who = 0; who != 3; ++who) {
      others.emplace_back([&] {
        for (unsigned count = 0; count != each; ++count) pool.spawn_blocking([&] { ++ran; }).join();
      });
    }
    for (std::thread& other : others) other.join();
    CHECK(pool.threads() <= 2);
  }
  CHECK(ran == 3 * each);
}

TEST_CASE("misuse of a pool", "[threads][pool][abort]") {
  check_dies("a BlockingPool was given no threads", [] { threads::BlockingPool pool({.max_threads = 0}); });
  check_dies("a BlockingPool was destroyed by one of its own jobs", [] {
    std::optional<threads::BlockingPool> pool(std::in_place);
    std::latch go(1);
    threads::RemoteHandle<void> handle = pool->spawn_blocking([&] {
      go.wait();
      pool.reset();
    });
    go.count_down();
    handle.join();
  });
}

namespace {

// Threads that cannot be started, from the second on.
class Failing {
 public:
  template <class Body>
  explicit Failing(Body body) {
    if (started++ >= may_start) throw std::system_error(EAGAIN, std::generic_category());
    thread_ = std::thread(std::move(body));
  }
  void join() { thread_.join(); }
  static inline int may_start = 0;
  static inline int started = 0;

 private:
  std::thread thread_;
};

}  // namespace

TEST_CASE("a pool whose threads cannot be started goes on with those that it has", "[threads][pool]") {
  Failing::started = 0;
  Ledger ledger;
  SECTION("none") {
    Failing::may_start = 0;
    threads::BasicBlockingPool<Failing> pool;
    CHECK_THROWS_AS(pool.spawn_blocking([](Counted) {}, Counted(ledger, 1)), std::system_error);
    CHECK(pool.threads() == 0);
  }
  SECTION("one") {
    Failing::may_start = 1;
    threads::BasicBlockingPool<Failing> pool;
    std::latch go(1);
    auto first = pool.spawn_blocking([&] { go.wait(); });
    auto second = pool.spawn_blocking([](Counted) {}, Counted(ledger, 1));
    CHECK(Failing::started == 2);
    CHECK(pool.threads() == 1);
    go.count_down();
    first.join();
    second.join();
  }
  CHECK(ledger.leftovers().empty());
}
