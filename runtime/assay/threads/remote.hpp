// Remote: spawns tasks in an executor of another thread.
//
//   Executor executor;
//   threads::Remote remote(executor);            // on the executor's thread; copies go wherever they are wanted
//   std::thread other([remote] {
//     threads::RemoteHandle<int> six = remote.spawn(twice, 3);  // twice(3) is called, and its future polled, over there
//     int result = six.join();                   // or, in a task of another executor: co_await six
//   });
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "assay/executor.hpp"
#include "assay/threads/channel.hpp"
#include "assay/threads/remote_handle.hpp"

namespace assay::threads {

namespace detail {

// What is to become a task. Made by the thread that spawns; polled and destroyed by the executor's, unless that is gone.
class RemoteJob {
 public:
  explicit RemoteJob(TaskName name) noexcept : name_(name) {}
  RemoteJob(const RemoteJob&) = delete;
  RemoteJob& operator=(const RemoteJob&) = delete;
  virtual ~RemoteJob() = default;

  virtual Poll<void> poll(Context& context) = 0;
  // There was no room for the task.
  virtual void refuse(std::exception_ptr error) = 0;

  TaskName name() const noexcept { return name_; }

 private:
  TaskName name_;
};

template <Future F>
class RemoteJobOf final : public RemoteJob {
 public:
  using Output = typename F::Output;

  template <class... Args>
  RemoteJobOf(TaskName name, OneshotSender<Outcome<Output>> sender, Args&&... args)
      : RemoteJob(name), work_(std::move(sender)), future_(std::in_place, std::forward<Args>(args)...) {}

  Poll<void> poll(Context& context) override {
    if (work_.is_cancelled(context)) {
      future_.reset();
      return Ready();
    }
    std::optional<Outcome<Output>> outcome = step(context);
    if (!outcome) return Pending;
    future_.reset();  // the future ends before its outcome is known
    work_.finish(std::move(*outcome));
    return Ready();
  }

  void refuse(std::exception_ptr error) override {
    future_.reset();
    work_.finish(Outcome<Output>(std::in_place_index<1>, std::move(error)));
  }

 private:
  std::optional<Outcome<Output>> step(Context& context) noexcept {
    try {
      Poll<Output> result = future_->poll(context);
      if (result.is_pending()) return std::nullopt;
      return Outcome<Output>(std::in_place_index<0>, std::move(result).take_stored());
    } catch (...) {
      return Outcome<Output>(std::in_place_index<1>, std::current_exception());
    }
  }

  Work<Output> work_;
  std::optional<F> future_;  // the last member: where it was not polled to its end, it ends before the handle hears of it
};

// The task that a job becomes.
class RemoteTask {
 public:
  using Output = void;
  explicit RemoteTask(std::unique_ptr<RemoteJob> job) noexcept : job_(std::move(job)) {}
  Poll<void> poll(Context& context) { return job_->poll(context); }
  RemoteJob& job() const noexcept { return *job_; }

 private:
  std::unique_ptr<RemoteJob> job_;
};

// The task that makes tasks of what other threads send.
class RemoteService {
 public:
  using Output = void;
  static constexpr unsigned jobs_per_poll = 64;

  explicit RemoteService(Receiver<std::unique_ptr<RemoteJob>> jobs) : jobs_(std::move(jobs)) {}

  Poll<void> poll(Context& context) {
    for (unsigned count = 0; count != jobs_per_poll; ++count) {
      if (!next_) next_.emplace(jobs_.recv());
      Poll<std::optional<std::unique_ptr<RemoteJob>>> sent = next_->poll(context);
      if (sent.is_pending()) return Pending;
      next_.reset();
      std::optional<std::unique_ptr<RemoteJob>> job = std::move(sent).take();
      if (!job) return Ready();  // the last Remote is gone
      start(*context.executor(), RemoteTask(std::move(*job)));
    }
    context.wake_again();
    return Pending;
  }

 private:
  static void start(Executor& executor, RemoteTask task) {
    try {
      executor.spawn_detached(task.job().name(), std::move(task));
    } catch (...) {
      task.job().refuse(std::current_exception());  // it was not moved from
    }
  }

  Receiver<std::unique_ptr<RemoteJob>> jobs_;
  std::optional<ChannelRecv<std::unique_ptr<RemoteJob>>> next_;
};

template <class First, class... Args>
struct RemoteFuture {
  using Type = assay::detail::Calling<std::decay_t<First>, std::decay_t<Args>...>;
};
template <Future F>
struct RemoteFuture<F> {
  using Type = F;
};

}  // namespace detail

// Copyable; any thread, at any time, also when the executor is gone: what is spawned then is cancelled at once.
class Remote {
 public:
  // The executor's thread only. Takes one task of the executor, for as long as a copy of this lives. Throws ExecutorFull,
  // std::bad_alloc.
  explicit Remote(Executor& executor) : Remote(executor, unbounded_channel<std::unique_ptr<detail::RemoteJob>>()) {}

  // Makes a task of a future, a coroutine, or a callable with arguments that returns one, which is called by the executor's
  // thread. All of them are moved there, and end there. O(1); allocates. Throws std::bad_alloc and what the constructors throw;
  // what goes wrong over there (ExecutorFull) is the handle's outcome.
  template <class First, class... Args>
    requires assay::detail::NotAName<First>
  auto spawn(First&& first, Args&&... args) const {
    return spawn(TaskName("remote task"), std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class... Args>
  auto spawn(TaskName name, Args&&... args) const {
    using F = typename detail::RemoteFuture<std::decay_t<Args>...>::Type;
    using T = typename F::Output;
    auto [sender, receiver] = oneshot<detail::Outcome<T>>();
    if constexpr (sizeof...(Args) == 1 && (Future<std::decay_t<Args>> && ...)) {
      post(std::make_unique<detail::RemoteJobOf<F>>(name, std::move(sender), std::forward<Args>(args)...));
    } else {
      post(std::make_unique<detail::RemoteJobOf<F>>(name, std::move(sender), std::in_place, std::forward<Args>(args)...));
    }
    return RemoteHandle<T>(std::move(receiver), owner_);
  }

 private:
  using Job = std::unique_ptr<detail::RemoteJob>;

  Remote(Executor& executor, std::pair<Sender<Job>, Receiver<Job>> channel)
      : jobs_(std::move(channel.first)), owner_(audited::current_thread_id()) {
    executor.emplace<detail::RemoteService>(TaskName("remote"), std::move(channel.second)).detach();
  }

  // (Where the executor is gone the job comes back, and ends here: the handle hears of it.)
  void post(Job job) const { static_cast<void>(jobs_.try_send(std::move(job))); }

  Sender<Job> jobs_;
  std::uint64_t owner_;
};

}  // namespace assay::threads
