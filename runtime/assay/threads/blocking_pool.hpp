// BlockingPool: threads for calls that block, so that no executor has to.
//
//   threads::BlockingPool pool({.max_threads = 4});
//   std::string text = co_await pool.spawn_blocking(read_file, "/etc/hostname");
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include "assay/base/check.hpp"
#include "assay/threads/remote_handle.hpp"
#include "assay/threads/work_queue.hpp"

namespace assay::threads {

struct BlockingOptions {
  std::size_t max_threads = 16;  // started one by one, when work comes and none is idle
};

namespace detail {

template <class T, class Callable, class... Args>
class BlockingJobOf final : public BlockingJob {
 public:
  template <class C, class... A>
  explicit BlockingJobOf(OneshotSender<Outcome<T>> sender, C&& callable, A&&... args)
      : work_(std::move(sender)), call_(std::in_place, std::forward<C>(callable), std::forward<A>(args)...) {}

  void run() noexcept override {
    if (work_.is_cancelled()) return;
    Outcome<T> outcome = call();
    call_.reset();  // what was called ends before its outcome is known
    work_.finish(std::move(outcome));
  }

 private:
  Outcome<T> call() noexcept {
    try {
      if constexpr (std::is_void_v<T>) {
        std::apply([](Callable& callable, Args&... args) { std::invoke(callable, std::move(args)...); }, *call_);
        return Outcome<T>(std::in_place_index<0>);
      } else {
        return Outcome<T>(std::in_place_index<0>, std::apply([](Callable& callable, Args&... args) -> T {
                            return std::invoke(callable, std::move(args)...);
                          }, *call_));
      }
    } catch (...) {
      return Outcome<T>(std::in_place_index<1>, std::current_exception());
    }
  }

  Work<T> work_;
  std::optional<std::tuple<Callable, Args...>> call_;  // the last member: it ends before the handle hears of it
};

}  // namespace detail

// Any thread may give it work. Its end cancels what is not begun, and waits for what is: one of its own jobs that destroys it
// aborts, since it would wait for itself. A job that joins another job of the same pool needs a second thread to do that one.
// (BasicBlockingPool: with threads of whatever kind, for models.)
template <class Thread>
class BasicBlockingPool {
 public:
  explicit BasicBlockingPool(BlockingOptions options = {}) : queue_(options.max_threads) {
    ASSAY_CHECK(options.max_threads > 0, "a BlockingPool was given no threads; BlockingOptions::max_threads must be at least 1");
  }
  ~BasicBlockingPool() {
    for (const Thread& thread : threads_) {
      if constexpr (requires { thread.get_id(); }) {
        ASSAY_CHECK(thread.get_id() != std::this_thread::get_id(),
                    "a BlockingPool was destroyed by one of its own jobs, whose end it would wait for");
      }
    }
    queue_.close();
    for (Thread& thread : threads_) thread.join();
  }
  BasicBlockingPool(const BasicBlockingPool&) = delete;
  BasicBlockingPool& operator=(const BasicBlockingPool&) = delete;

  // Calls `callable(args...)` on one of the threads, as soon as one is free. All are moved there, and end there. What it throws,
  // where the handle was detached, ends the program. Throws std::bad_alloc, what the constructors throw, and std::system_error
  // when not even one thread can be started.
  template <class Callable, class... Args>
    requires std::invocable<std::decay_t<Callable>&, std::decay_t<Args>...>
  auto spawn_blocking(Callable&& callable, Args&&... args) {
    using T = std::invoke_result_t<std::decay_t<Callable>&, std::decay_t<Args>...>;
    auto [sender, receiver] = oneshot<detail::Outcome<T>>();
    detail::WorkQueue::Jobs job;
    job.push_back(std::make_unique<detail::BlockingJobOf<T, std::decay_t<Callable>, std::decay_t<Args>...>>(
        std::move(sender), std::forward<Callable>(callable), std::forward<Args>(args)...));
    if (queue_.push(job)) start_thread();
    return RemoteHandle<T>(std::move(receiver), 0);
  }

  // How many threads were started.
  std::size_t threads() noexcept { return queue_.threads(); }
  // How many jobs wait for a thread.
  std::size_t waiting_jobs() noexcept { return queue_.waiting_jobs(); }

 private:
  void start_thread() {
    std::list<Thread> started;
    try {
      started.emplace_back([this] { queue_.serve(); });
    } catch (...) {
      if (queue_.thread_failed()) throw;
      return;  // another one will take the job
    }
    const audited::sync::Lock lock(mutex_);
    threads_.splice(threads_.end(), started);
  }

  detail::WorkQueue queue_;
  audited::sync::Mutex mutex_;
  std::list<Thread> threads_ ASSAY_GUARDED_BY(mutex_);
};

using BlockingPool = BasicBlockingPool<std::thread>;

}  // namespace assay::threads
