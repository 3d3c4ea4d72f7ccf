// The executor that everybody writes first, in the shape of the illustrated mini-tokio: a queue behind a mutex, tasks on the
// heap, wakers that share them, a condition variable to sleep on. No timers and no file descriptors. Unlike assay it checks
// nothing.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace naive {

class Task;
using Waker = std::shared_ptr<Task>;

class Executor;

// A coroutine that other coroutines may await, or a task may own.
template <class T>
class Co {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Co(Handle handle) : handle_(handle) {}
  Co(Co&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Co() {
    if (handle_) handle_.destroy();
  }

  // For a coroutine that awaits it: what to resume in its place.
  std::coroutine_handle<> start(std::coroutine_handle<> parent) {
    handle_.promise().parent = parent;
    return handle_;
  }
  std::coroutine_handle<> handle() const { return handle_; }
  bool done() const { return handle_.done(); }
  T take() { return std::move(*handle_.promise().value); }

 private:
  Handle handle_;
};

struct Unit {};

// A leaf: `bool poll(const Waker&)`, true when it is ready.
template <class Future>
struct LeafAwaiter {
  Future& future;
  bool await_ready() { return future.poll(current()); }
  void await_suspend(std::coroutine_handle<> coroutine);
  void await_resume() {}
  static const Waker& current();
};

template <class T>
struct Co<T>::promise_type {
  std::coroutine_handle<> parent;
  std::optional<T> value;

  struct Final {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle handle) noexcept {
      const std::coroutine_handle<> next = handle.promise().parent;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };

  Co get_return_object() { return Co(Handle::from_promise(*this)); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() { std::terminate(); }
  void return_value(T result) { value.emplace(std::move(result)); }

  template <class U>
  struct ChildAwaiter {
    Co<U>& child;
    bool await_ready() { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) { return child.start(awaiting); }
    U await_resume() { return child.take(); }
  };
  template <class U>
  ChildAwaiter<U> await_transform(Co<U>&& child) {
    return {child};
  }
  template <class Future>
    requires requires(Future& future, const Waker& waker) { future.poll(waker); }
  LeafAwaiter<std::remove_reference_t<Future>> await_transform(Future&& future) {
    return {future};
  }
};

// What waits innermost: how to poll it, and whom to resume then.
struct Leaf {
  void* future = nullptr;
  bool (*poll)(void* future, const Waker& waker) = nullptr;
  std::coroutine_handle<> coroutine;
};

class Task : public std::enable_shared_from_this<Task> {
 public:
  Task(Executor& executor, Co<int> body) : executor_(executor), body_(std::move(body)) {}

  void poll() {
    const Waker self = shared_from_this();
    const Waker* const before = std::exchange(current, &self);
    if (!started_) {
      started_ = true;
      body_.handle().resume();
    } else if (leaf.poll(leaf.future, self)) {
      leaf.coroutine.resume();
    }
    current = before;
    if (!body_.done()) return;
    Waker joiner;
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
      joiner = std::move(joiner_);
    }
    if (joiner) joiner->wake();
  }

  void wake();

  bool done() const {
    const std::lock_guard lock(mutex_);
    return done_;
  }
  // True when done; otherwise `joiner` is woken then.
  bool join(const Waker& joiner) {
    const std::lock_guard lock(mutex_);
    if (!done_) joiner_ = joiner;
    return done_;
  }
  int take() { return body_.take(); }

  Leaf leaf;
  static inline thread_local const Waker* current = nullptr;

 private:
  friend class Executor;
  Executor& executor_;
  Co<int> body_;
  bool started_ = false;
  bool queued_ = false;  // guarded by the executor's mutex
  mutable std::mutex mutex_;
  bool done_ = false;
  Waker joiner_;
};

class Executor {
 public:
  Waker spawn(Co<int> body) {
    Waker task = std::make_shared<Task>(*this, std::move(body));
    enqueue(*task);
    return task;
  }

  void enqueue(Task& task) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(task.queued_, true)) return;
      queue_.push_back(task.shared_from_this());
    }
    not_empty_.notify_one();
  }

  int block_on(Co<int> body) {
    const Waker task = spawn(std::move(body));
    while (!task->done()) {
      std::unique_lock lock(mutex_);
      not_empty_.wait(lock, [&] { return !queue_.empty(); });
      poll_first(lock);
    }
    return task->take();
  }

  void run_until_stalled() {
    for (std::unique_lock lock(mutex_); !queue_.empty(); lock.lock()) poll_first(lock);
  }

 private:
  void poll_first(std::unique_lock<std::mutex>& lock) {
    const Waker next = std::move(queue_.front());
    queue_.pop_front();
    next->queued_ = false;
    lock.unlock();
    next->poll();
  }

  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::deque<Waker> queue_;
};

inline void Task::wake() { executor_.enqueue(*this); }

template <class Future>
void LeafAwaiter<Future>::await_suspend(std::coroutine_handle<> coroutine) {
  (*Task::current)->leaf = {&future, [](void* leaf, const Waker& waker) { return static_cast<Future*>(leaf)->poll(waker); },
                            coroutine};
}
template <class Future>
const Waker& LeafAwaiter<Future>::current() {
  return *Task::current;
}

class Yield {
 public:
  bool poll(const Waker& waker) {
    if (std::exchange(yielded_, true)) return true;
    waker->wake();
    return false;
  }

 private:
  bool yielded_ = false;
};

class Join {
 public:
  explicit Join(Task& task) : task_(task) {}
  bool poll(const Waker& waker) { return task_.join(waker); }

 private:
  Task& task_;
};

// Waits for ever, and keeps the waker.
class Forever {
 public:
  bool poll(const Waker& waker) {
    waker_ = waker;
    return false;
  }

 private:
  std::weak_ptr<Task> waker_;  // a shared_ptr in a frame that the task owns would keep itself alive
};

}  // namespace naive
