// Shows that waiting, waking, passing values on, joining, selecting and grouping allocate nothing in steady state.
#include <functional>
#include <optional>
#include <utility>

#include "assay/audited/frame_pool.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// News of a hundred rounds after as many that do not count. Coroutine frames that the pool took from operator new count
// only where the pool recycles at all: built to pass everything through, it is not what is measured here.
template <class Round>
std::uint64_t news_in_steady_state(Round&& round) {
  constexpr int warm_up = 300, measured = 100;  // more than a quarantine keeps
  for (int i = 0; i < warm_up; ++i) round();
  const auto frames_before = audited::frame_pool_stats();
  const std::uint64_t before = testkit::allocation_counts().news;
  for (int i = 0; i < measured; ++i) round();
  const std::uint64_t news = testkit::allocation_counts().news - before;
  const auto frames = audited::frame_pool_stats();
  const std::uint64_t allocated = frames.allocated - frames_before.allocated;
  const bool passes_through = allocated != 0 && allocated == frames.taken - frames_before.taken;
  return passes_through ? news - allocated : news;
}

}  // namespace

TEST_CASE("primitives polled by hand allocate nothing", "[sync][memory]") {
  Hand a, b;
  SECTION("Notify") {
    Notify notify;
    CHECK(news_in_steady_state([&] {
            auto first = notify.notified();
            auto second = notify.notified();
            static_cast<void>(a.is_ready(first));
            static_cast<void>(b.is_ready(second));
            notify.notify_one();
            notify.notify_all();
            if (!a.is_ready(first) || !b.is_ready(second)) std::abort();
          }) == 0);
  }
  SECTION("Semaphore") {
    Semaphore semaphore(1);
    CHECK(news_in_steady_state([&] {
            auto permit = semaphore.try_acquire();
            auto acquire = semaphore.acquire();
            if (a.poll(acquire).is_ready()) std::abort();
            permit.reset();
            if (a.poll(acquire).is_pending()) std::abort();
          }) == 0);
  }
  SECTION("Mutex") {
    Mutex<int> mutex(0);
    CHECK(news_in_steady_state([&] {
            auto guard = mutex.try_lock();
            auto lock = mutex.lock();
            if (a.poll(lock).is_ready()) std::abort();
            guard.reset();
            if (a.poll(lock).is_pending()) std::abort();
          }) == 0);
  }
  SECTION("channel") {
    auto [sender, receiver] = channel<int>(1);
    auto& tx = sender;
    auto& rx = receiver;
    CHECK(news_in_steady_state([&] {
            auto first = tx.send(1);
            auto second = tx.send(2);
            if (a.poll(first).is_pending() || b.poll(second).is_ready()) std::abort();
            if (rx.try_recv() != 1 || rx.try_recv() != 2) std::abort();
            if (b.poll(second).is_pending()) std::abort();
            auto receive = rx.recv();
            if (a.poll(receive).is_ready()) std::abort();
            static_cast<void>(tx.try_send(3));
            if (a.poll(receive).is_pending()) std::abort();
          }) == 0);
  }
  SECTION("oneshot: one for its state") {
    CHECK(news_in_steady_state([&] {
            auto [sender, receiver] = oneshot<int>();
            if (a.poll(receiver).is_ready()) std::abort();
            static_cast<void>(sender.send(1));
            if (a.poll(receiver).is_pending()) std::abort();
          }) == 100);
  }
  SECTION("join, select and timeout") {
    Notify notify;
    CHECK(news_in_steady_state([&] {
            auto both = join(notify.notified(), select(notify.notified(), forever()));
            if (a.poll(both).is_ready()) std::abort();
            notify.notify_all();
            if (a.poll(both).is_pending()) std::abort();
          }) == 0);
  }
}

TEST_CASE("primitives between tasks allocate nothing", "[sync][memory]") {
  Executor executor;
  SECTION("a group of tasks that share a semaphore, a mutex and a notification") {
    Notify notify;
    Semaphore semaphore(2);
    Mutex<int> mutex(0);
    TaskGroup group(executor);
    const auto worker = [](Notify& told, Semaphore& limit, Mutex<int>& shared) -> Async<void> {
      auto waiting = told.notified();
      co_await waiting;
      auto acquire = limit.acquire();
      const Semaphore::Permit permit = co_await acquire;
      auto lock = shared.lock();
      const auto guard = co_await lock;
      co_await yield_now();
      ++*guard;
    };
    CHECK(news_in_steady_state([&] {
            for (int i = 0; i < 5; ++i) group.spawn(worker, std::ref(notify), std::ref(semaphore), std::ref(mutex));
            executor.run_until_stalled();
            notify.notify_all();
            executor.block_on(group.join_all());
          }) == 0);
    CHECK(**mutex.try_lock() == 400 * 5);
  }
  SECTION("a channel between two tasks, children awaited, joins and selects") {
    auto [sender, receiver] = channel<int>(2);
    auto& tx = sender;
    auto& rx = receiver;
    struct Bodies {
      static Async<void> produce(Sender<int>& to) {
        for (int i = 0; i < 6; ++i) {
          auto sending = to.send(i);
          co_await sending;
        }
      }
      static Async<int> one(Receiver<int>& from) {
        auto either = select(from.recv(), forever());
        const auto won = co_await either;
        co_return *std::get<0>(won);
      }
      static Async<int> consume(Receiver<int>& from) {
        int sum = 0;
        for (int i = 0; i < 2; ++i) {
          auto three = join(one(from), one(from), one(from));
          const auto values = co_await three;
          sum += std::get<0>(values) + std::get<1>(values) + std::get<2>(values);
        }
        co_return sum;
      }
    };
    CHECK(news_in_steady_state([&] {
            JoinHandle<void> producer = executor.spawn(Bodies::produce(tx));
            if (executor.block_on(Bodies::consume(rx)) != 15) std::abort();
          }) == 0);
  }
  executor.check_deep();
}
