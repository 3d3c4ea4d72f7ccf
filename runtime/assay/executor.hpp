// Executor: runs many tasks on one thread.
//
//   Executor executor;
//   executor.block_on([](Executor& executor) -> Async<void> {
//     JoinHandle<int> six = executor.spawn(twice(3));
//     int result = co_await six;
//   }(executor));
//
// It belongs to the thread that made it: every member aborts on another thread. It may be made, used and destroyed in any
// order with executors of other threads, and of this one. Its end cancels all its tasks; wakers may outlive it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "assay/async.hpp"
#include "assay/clock.hpp"
#include "assay/future.hpp"
#include "assay/join_handle.hpp"
#include "assay/reactor.hpp"
#include "assay/scheduler.hpp"
#include "assay/timer_queue.hpp"

namespace assay {

// The name of a task: a string literal.
class TaskName {
 public:
  consteval TaskName(const char* literal) : text_(literal) {}
  constexpr const char* text() const noexcept { return text_; }

 private:
  const char* text_;
};

enum class TaskState : std::uint8_t { ready, running, waiting };

// A task as tasks() sees it.
struct TaskInfo {
  std::uint64_t id = 0;
  std::string_view name;
  TaskState state = TaskState::waiting;
  std::optional<std::source_location> waiting_at;  // the co_await where its innermost coroutine waits
};

// What to do when a task is Pending and nobody has kept its waker, so that it can never run again.
enum class OnStranded : std::uint8_t {
  abort,   // say so on stderr, and abort
  log,     // say so on stderr, once per task
  ignore,
};

// What an executor waits for file descriptors with.
enum class Backend : std::uint8_t {
  epoll,  // many file descriptors; FdSource is fast
  poll,   // poll(2): needs no file descriptor of its own, and costs by the number of those that are waited for
};

struct ExecutorOptions {
  std::size_t task_slots = 0;        // slots for tasks, made in advance: just as many ...
  std::size_t task_slot_bytes = 256;  // ... of this size (header, future and output of a task together)
  bool task_growth = true;           // false: spawn throws ExecutorFull, try_spawn says full, when they are taken
  std::uint32_t polls_per_visit = 61;  // timers and fds are looked at after so many polls at the latest
  OnStranded on_stranded = OnStranded::abort;
  // Gets what a detached task threw. Empty: the task's name is printed and std::terminate called.
  std::function<void(const TaskInfo&, std::exception_ptr)> on_unhandled{};
  Clock* clock = nullptr;      // null: the machine's. Must outlive the executor.
  Backend backend = Backend::epoll;
  Reactor* reactor = nullptr;  // instead of `backend`, if not null. Must outlive the executor.
  std::uint64_t seed = 1;      // of the choices that select makes
};

// All slots are taken, and growth is off.
class ExecutorFull : public std::runtime_error {
 public:
  ExecutorFull() : std::runtime_error("assay: the executor is full (ExecutorOptions::task_slots)") {}
};

namespace detail {

// Polls a future that lives elsewhere.
template <Future F>
class Borrowing {
 public:
  using Output = typename F::Output;
  explicit Borrowing(F& future) noexcept : future_(&future) {}
  Poll<Output> poll(Context& context) { return future_->poll(context); }
  const std::source_location* waiting_at() const noexcept {
    if constexpr (audited::Located<F>) return future_->waiting_at();
    return nullptr;
  }

 private:
  F* future_;
};

// Owns a callable and its arguments for as long as the future lives that the call returns.
template <class Callable, class... Args>
class Calling {
 public:
  using Called = std::invoke_result_t<Callable&, Args...>;
  using Output = typename Called::Output;

  template <class C, class... A>
  explicit Calling(std::in_place_t, C&& callable, A&&... args)
      : callable_(std::forward<C>(callable)), args_(std::forward<A>(args)...) {}

  Poll<Output> poll(Context& context) {
    if (!future_) {
      future_.emplace(Call{*this});
    }
    return future_->poll(context);
  }
  const std::source_location* waiting_at() const noexcept {
    if constexpr (audited::Located<Called>) {
      if (future_) return future_->waiting_at();
    }
    return nullptr;
  }

 private:
  // The call as a conversion, so that optional::emplace constructs its result in place, without a move.
  struct Call {
    Calling& self;
    ASSAY_CORO_WRAPPER operator Called() { return self.call(std::index_sequence_for<Args...>()); }
  };

  template <std::size_t... Index>
  ASSAY_CORO_WRAPPER Called call(std::index_sequence<Index...>) {
    return callable_(std::move(std::get<Index>(args_))...);
  }

  Callable callable_;
  std::tuple<Args...> args_;
  std::optional<Called> future_;
};

template <class T>
concept NotAName = !std::is_convertible_v<T, const char*> && !std::is_same_v<std::decay_t<T>, TaskName>;

template <class Callable, class... Args>
concept CallableToFuture =
    !Future<std::decay_t<Callable>> && std::invocable<std::decay_t<Callable>&, std::decay_t<Args>...> &&
    Future<std::invoke_result_t<std::decay_t<Callable>&, std::decay_t<Args>...>>;

}  // namespace detail

class Executor final : private detail::SchedulerEvents {
 public:
  // Throws std::system_error when the system has no file descriptor left, std::bad_alloc.
  explicit Executor(ExecutorOptions options = {});
  // Cancels all tasks. Aborts when called by one of them.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Makes a task of a future, a coroutine, or a callable with arguments that returns one; the task owns them all, so a
  // lambda that captures may be a coroutine. Its first poll comes at its turn. O(1), no allocation in steady state. Throws
  // ExecutorFull, std::bad_alloc, what the constructors throw.
  template <class First, class... Args>
    requires detail::NotAName<First>
  auto spawn(First&& first, Args&&... args) {
    return spawn(TaskName("task"), std::forward<First>(first), std::forward<Args>(args)...);
  }
  // (By value, so that compilers see, and refuse, a coroutine whose arguments will be gone.)
  template <class T>
  JoinHandle<T> spawn(Async<T> future ASSAY_LIFETIMEBOUND) {
    auto* const task = make_task(TaskName("task"), std::move(future));
    if (task == nullptr) throw ExecutorFull();
    return handle_of(*task);
  }
  template <class T>
  JoinHandle<T> spawn(TaskName name, Async<T> future ASSAY_LIFETIMEBOUND) {
    auto* const task = make_task(name, std::move(future));
    if (task == nullptr) throw ExecutorFull();
    return handle_of(*task);
  }
  template <class... Args>
  auto spawn(TaskName name, Args&&... args) {
    auto* const task = make_task(name, std::forward<Args>(args)...);
    if (task == nullptr) throw ExecutorFull();
    return handle_of(*task);
  }

  // As spawn, for a future that is constructed in the task from `args`, and need not be movable.
  template <Future F, class... Args>
  JoinHandle<typename F::Output> emplace(TaskName name, Args&&... args) {
    audited::Task<F>* const task = scheduler_->spawn<F>(name.text(), std::forward<Args>(args)...);
    if (task == nullptr) throw ExecutorFull();
    return handle_of(*task);
  }

  // As spawn, but empty when the executor is full; the arguments are then untouched.
  template <class First, class... Args>
    requires detail::NotAName<First>
  auto try_spawn(First&& first, Args&&... args) {
    return try_spawn(TaskName("task"), std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class... Args>
  auto try_spawn(TaskName name, Args&&... args) {
    auto* const task = make_task(name, std::forward<Args>(args)...);
    using Handle = decltype(handle_of(*task));
    return task != nullptr ? std::optional<Handle>(handle_of(*task)) : std::nullopt;
  }

  // As spawn, for a task that nobody will wait for. What it throws goes to on_unhandled.
  template <class First, class... Args>
    requires detail::NotAName<First>
  void spawn_detached(First&& first, Args&&... args) {
    spawn_detached(TaskName("task"), std::forward<First>(first), std::forward<Args>(args)...);
  }
  template <class... Args>
  void spawn_detached(TaskName name, Args&&... args) {
    if (make_task(name, std::forward<Args>(args)...) == nullptr) throw ExecutorFull();
  }

  // Runs until `future` is Ready, and all tasks meanwhile. Returns its output, throws what it throws. Takes a task slot.
  // Throws ExecutorFull, and std::bad_alloc also when there is no memory to wait with: the other tasks can be run on then.
  // Aborts inside a task of this executor (co_await the future instead); other executors' tasks may call it.
  template <Future F>
  typename F::Output block_on(F& future) {
    enter("Executor::block_on was called from inside this executor; co_await the future instead");
    const Turn turn(*this);
    using Output = typename F::Output;
    audited::Task<detail::Borrowing<F>>* const task = scheduler_->spawn<detail::Borrowing<F>>("block_on", future);
    if (task == nullptr) throw ExecutorFull();
    detail::TaskHandle<Output> handle(*scheduler_, *task);
    run_until_done(*task);
    return detail::unstore<Output>(handle.take());
  }
  template <Future F>
  typename F::Output block_on(F&& future) {
    return block_on(future);
  }
  template <class Callable, class... Args>
    requires detail::CallableToFuture<Callable, Args...>
  auto block_on(Callable&& callable, Args&&... args) {
    detail::Calling<std::decay_t<Callable>, std::decay_t<Args>...> future(
        std::in_place, std::forward<Callable>(callable), std::forward<Args>(args)...);
    return block_on(future);
  }

  // Polls tasks until none is ready, without ever blocking. Returns the number of polls. Timers fire by the clock as it is. Throws
  // std::bad_alloc when there is no memory to look with, and can be called again.
  std::size_t run_until_stalled();

  // Polls one ready task. False: none was ready. Looks at timers, fds and other threads' wakes first. Throws as run_until_stalled.
  bool poll_once();

  // For a foreign event loop: a file descriptor that polls readable when run_until_stalled() would have work to do. Level-
  // triggered, valid for the executor's life, brought up to date by each run_until_stalled() and each call of this: call
  // it before blocking, if tasks may have been spawned or woken on this thread meanwhile. Throws std::system_error at the
  // first call.
  int pollable_fd();

  // Makes room for `count` more tasks of `bytes` bytes each, also when growth is off. Throws std::bad_alloc.
  void reserve(std::size_t count, std::size_t bytes);

  // The tasks that are not done. O(tasks).
  std::vector<TaskInfo> tasks();

  const ExecutorStats& stats() const noexcept { return scheduler_->stats(); }
  // How many tasks' memory is in use, those that only a handle or a waker keeps included.
  std::size_t live_tasks() noexcept { return scheduler_->slab().live(); }

  Clock& clock() noexcept { return *clock_; }
  TimerQueue& timers() noexcept { return timers_; }
  Reactor& reactor() noexcept { return *reactor_; }
  Instant now() noexcept { return clock_->now(); }
  // The next of a sequence of pseudo-random numbers, reproducible by ExecutorOptions::seed.
  std::uint64_t random() noexcept;

  // Aborts unless every invariant of the executor's structures holds. O(tasks + timers).
  void check_deep();

 private:
  // Set while the executor polls; what must not be nested looks at it.
  class Turn {
   public:
    explicit Turn(Executor& executor) noexcept : executor_(executor) { executor_.in_turn_ = true; }
    ~Turn() { executor_.in_turn_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Executor& executor_;
  };

  template <class T>
  JoinHandle<T> handle_of(audited::TaskOf<T>& task) {
    return JoinHandle<T>(detail::TaskHandle<T>(*scheduler_, task));
  }

  template <class F>
    requires Future<std::decay_t<F>>
  auto* make_task(TaskName name, F&& future) {
    return scheduler_->spawn<std::decay_t<F>>(name.text(), std::forward<F>(future));
  }
  template <class Callable, class... Args>
    requires detail::CallableToFuture<Callable, Args...>
  auto* make_task(TaskName name, Callable&& callable, Args&&... args) {
    using Made = detail::Calling<std::decay_t<Callable>, std::decay_t<Args>...>;
    return scheduler_->spawn<Made>(name.text(), std::in_place, std::forward<Callable>(callable), std::forward<Args>(args)...);
  }

  void on_unhandled_exception(audited::TaskHeader& task, std::exception_ptr error) noexcept override;
  void on_stranded(audited::TaskHeader& task) noexcept override;

  void enter(const char* message) const noexcept;
  void run_until_done(const audited::TaskHeader& task);
  std::size_t run_some(const audited::TaskHeader* until);
  bool visit();
  bool hear();
  void wait();
  void wait_for_events(std::optional<Duration> timeout);
  void arm_pollable_fd();
  static TaskInfo info_of(const audited::TaskHeader& task);

  struct Embedding;

  ExecutorOptions options_;
  SteadyClock steady_clock_;
  std::unique_ptr<Reactor> own_reactor_;
  Clock* clock_;
  Reactor* reactor_;
  TimerQueue timers_;
  std::unique_ptr<Embedding> embedding_;
  std::uint64_t random_state_;
  std::uint32_t polls_since_visit_ = 0;
  bool in_turn_ = false;
  detail::SchedulerOwner scheduler_;  // the last member: its end destroys the tasks, which use all of the above
};

}  // namespace assay
