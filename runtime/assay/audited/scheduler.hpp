// Purpose: the life of tasks: who is ready, who is polled, who is cancelled, who is freed. One per executor, shared with
//   the wakers of its tasks, which may outlive the executor.
// Thread rules: the owner thread (the one that made it), but for what Inbox lets others do.
// Invariants:
//  (1) The ready queue is a FIFO of tasks with QUEUED set; being in it keeps a task's memory.
//  (2) A wake only enqueues: no waker function polls, destroys a future, or runs user code.
//  (3) GROUP is set, and a reference on the inbox held for it, from the end of the poll in which a task's shared word
//      became non-zero until drain() sees no count in it.
//  (4) Wakers are taken out of their place before they are woken or dropped.
//  (5) After close() no future lives, the queue is empty, and each task that something still holds frees itself: its
//      local holders together own one remote reference (ORPHAN).
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>

#include "assay/audited/check.hpp"
#include "assay/audited/current.hpp"
#include "assay/audited/inbox.hpp"
#include "assay/audited/slab.hpp"
#include "assay/audited/system.hpp"
#include "assay/audited/task.hpp"

namespace assay::audited {

// What happened so far, exactly.
struct SchedulerStats {
  std::uint64_t spawned = 0;
  std::uint64_t polls = 0;
  std::uint64_t completed = 0;     // Ready
  std::uint64_t threw = 0;         // ended by an exception
  std::uint64_t cancelled = 0;
  std::uint64_t freed = 0;         // task memory given back
  std::uint64_t local_wakes = 0;   // through a LocalWaker, effective or not
  std::uint64_t remote_wakes = 0;  // tasks found notified in the inbox
  std::uint64_t enqueued = 0;
  std::uint64_t stranded = 0;
};

// What the kernel tells the executor. Called between polls, in a consistent state; may use the executor.
class SchedulerEvents {
 public:
  virtual void on_unhandled_exception(TaskHeader& task, std::exception_ptr error) noexcept = 0;
  virtual void on_stranded(TaskHeader& task) noexcept = 0;

 protected:
  ~SchedulerEvents() = default;
};

class Scheduler final : public Inbox {
 public:
  static constexpr unsigned max_nested_cancels = 1000;

  // With one reference, for SchedulerOwner. Throws std::bad_alloc, std::system_error.
  static Scheduler& make(const SlabOptions& memory);

  // Takes a slot and constructs the future there from args; queues its first poll. Null: full, and growth is off. Throws
  // std::bad_alloc and what F's constructor throws, and then nothing has happened.
  template <class F, class... Args>
  Task<F>* spawn(const char* name, Args&&... args) {
    check_owner();
    static_assert(alignof(Task<F>) <= Slab::slot_alignment, "a future may be aligned to 64 bytes at most");
    const Slab::Taken taken = slab_.try_take(sizeof(Task<F>));
    if (taken.slot == nullptr) return nullptr;
    SlotGuard guard{slab_, taken.slot};
    // SAFETY(T8): a fresh slot of at least this size and alignment; the scheduler outlives the task (invariant 5).
    Task<F>* const task = ::new (taken.slot) Task<F>(*this, std::forward<Args>(args)...);
    guard.slot = nullptr;
    task->generation = taken.generation;
    start(*task, name);
    return task;
  }

  // Polls the task at the head of the ready queue. False: the queue is empty.
  bool run_one(Executor* executor) noexcept;

  // Queues what other threads woke, and takes back what they released.
  void drain_inbox() noexcept;

  bool has_ready() const noexcept { return ready_head_ != nullptr; }
  bool is_running() const noexcept { return running_; }
  bool is_closing() const noexcept { return closing_; }
  bool is_owner() const noexcept { return owner_thread_ == current_thread_id(); }

  // Destroys the future now; of the task that is being polled: when its poll returns. Does nothing to one that is done.
  void cancel(TaskHeader& task) noexcept;

  // The handle lets go: a task that is not done runs on by itself.
  void detach(TaskHeader& task) noexcept;

  void check_owner() const noexcept {
    ASSAY_CHECK(is_owner(), "an Executor, JoinHandle or LocalWaker was used on another thread than its executor's; "
                            "use Context::waker() for a waker that may cross threads");
  }

  // Ends every future, wakes nobody, and gives up the executor's reference.
  void close() noexcept;

  void set_events(SchedulerEvents* events) noexcept { events_ = events; }
  int wakeup_fd() const noexcept { return wakeup_.fd(); }
  void clear_wakeup() noexcept { wakeup_.clear(); }

  const SchedulerStats& stats() const noexcept { return stats_; }
  Slab& slab() noexcept { return slab_; }

  // Calls visit(TaskHeader&) for each task that is not done. `visit` must not spawn.
  template <class Visit>
  void for_each_task(Visit&& visit) {
    check_owner();
    slab_.for_each_live([&](void* slot) {
      TaskHeader& task = task_in(slot);
      if (!task.has(TaskFlags::done)) visit(task);
    });
  }

  // Aborts unless the invariants hold. O(tasks).
  void check_deep() noexcept;

  // For the functions of the LocalWaker table.
  void wake_local(TaskHeader& task) noexcept;
  void drop_local_waker(TaskHeader& task) noexcept;
  // For TaskHandle.
  void release_handle(TaskHeader& task) noexcept;

 private:
  struct SlotGuard {
    Slab& slab;
    void* slot;
    ~SlotGuard() {
      if (slot != nullptr) slab.release(slot);
    }
  };

  explicit Scheduler(const SlabOptions& memory) : slab_(memory) {}
  ~Scheduler() = default;

  void raise() noexcept override;
  void free_orphan(RemoteNode& node) noexcept override;
  void destroy_inbox() noexcept override;

  static TaskHeader& task_in(void* slot) noexcept;
  void start(TaskHeader& task, const char* name) noexcept;
  void enqueue(TaskHeader& task) noexcept;
  void wake(TaskHeader& task) noexcept;
  void poll(TaskHeader& task, Executor* executor) noexcept;
  void end_future(TaskHeader& task) noexcept;
  void finish(TaskHeader& task) noexcept;
  void adopt_group(TaskHeader& task) noexcept;
  void see_mail(TaskHeader& task, std::uint64_t word) noexcept;
  static bool is_held(const TaskHeader& task) noexcept;
  static bool is_stranded(const TaskHeader& task) noexcept;
  void report_stranded(TaskHeader& task) noexcept;
  void look_again(TaskHeader& task) noexcept;
  void free_if_unused(TaskHeader& task) noexcept;
  void release_local(TaskHeader& task) noexcept;
  void orphan(TaskHeader& task) noexcept;

  const std::uint64_t owner_thread_ = current_thread_id();
  TaskHeader* ready_head_ = nullptr;
  TaskHeader* ready_tail_ = nullptr;
  SchedulerEvents* events_ = nullptr;
  std::uint64_t last_id_ = 0;
  unsigned nested_cancels_ = 0;
  bool running_ = false;
  bool closing_ = false;
  SchedulerStats stats_;
  Slab slab_;
  Wakeup wakeup_;
};

// The executor's reference on its scheduler.
class SchedulerOwner {
 public:
  explicit SchedulerOwner(const SlabOptions& memory) : scheduler_(Scheduler::make(memory)) {}
  ~SchedulerOwner() { scheduler_.close(); }
  SchedulerOwner(const SchedulerOwner&) = delete;
  SchedulerOwner& operator=(const SchedulerOwner&) = delete;

  Scheduler& operator*() const noexcept { return scheduler_; }
  Scheduler* operator->() const noexcept { return &scheduler_; }

 private:
  Scheduler& scheduler_;
};

// Owns a task's outcome: the kernel's half of a JoinHandle. Owner thread only. Dropping it cancels the task.
class TaskHandle {
 public:
  TaskHandle() noexcept = default;
  // Takes over the handle of a task that was just spawned.
  explicit TaskHandle(TaskHeader& task) noexcept;
  TaskHandle(TaskHandle&& other) noexcept
      : task_(std::exchange(other.task_, nullptr)), generation_(other.generation_) {}
  TaskHandle& operator=(TaskHandle&& other) noexcept {
    std::swap(task_, other.task_);
    std::swap(generation_, other.generation_);
    return *this;
  }
  ~TaskHandle();

  bool is_empty() const noexcept { return task_ == nullptr; }
  bool is_done() const noexcept { return task().has(TaskFlags::done) && !task().has(TaskFlags::running); }
  bool is_cancelled() const noexcept { return task().has(TaskFlags::cancelled); }
  bool is_running() const noexcept { return task().has(TaskFlags::running); }
  bool has_outcome() const noexcept { return task().has(TaskFlags::has_output | TaskFlags::has_exception); }
  std::uint64_t id() const noexcept { return task().id; }
  const char* name() const noexcept { return task().name; }

  // Who is woken when the task is done; the last one set counts.
  void set_joiner(const LocalWaker& waker) noexcept;

  void cancel() noexcept;
  void detach() noexcept;

 protected:
  TaskHeader& task() const noexcept;

 private:
  Scheduler& scheduler() const noexcept;

  TaskHeader* task_ = nullptr;
  std::uint32_t generation_ = 0;
};

// A TaskHandle that knows its task's Output.
template <class T>
class TaskHandleOf : public TaskHandle {
 public:
  TaskHandleOf() noexcept = default;
  template <class F>
    requires std::is_same_v<typename F::Output, T>
  explicit TaskHandleOf(Task<F>& task) noexcept : TaskHandle(task) {}

  // The output, moved out, once; or rethrows what the task threw. The task is done and was not cancelled.
  Stored<T> take() {
    TaskHeader& mine = task();
    ASSAY_CHECK(has_outcome(), "a task's outcome was asked for before it was there, or a second time");
    if (mine.has(TaskFlags::has_exception)) std::rethrow_exception(mine.vtable->take_exception(mine));
    std::optional<Stored<T>> value;
    // SAFETY(T6): the constructor is the only way to a task (moves keep it), so this is an optional of its output type.
    mine.vtable->take_output(mine, &value);
    ASSAY_ASSERT(value.has_value(), "internal: a task gave no output");
    return std::move(*value);
  }
};

}  // namespace assay::audited
