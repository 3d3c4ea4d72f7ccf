// The life of tasks: who is ready, who is polled, who is cancelled, who is freed. One per executor, shared with the wakers of
// its tasks, which may outlive the executor. The owner thread only, but for what wakers do.
//
// Rules:
//  (1) GROUP is set, and a reference on the core held for it, from the end of the poll in which a task's shared word became
//      non-zero until the inbox shows that no Waker is left.
//  (2) Wakers are taken out of their place before they are woken or dropped.
//  (3) A call that may run the user's code comes when the task is consistent, and something (RUNNING, HANDLE) keeps it.
//  (4) After close() no future lives, the queue is empty, and each task that something still holds frees itself: its local
//      holders together own one remote reference (ORPHAN).
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "assay/audited/task_core.hpp"
#include "assay/base/check.hpp"
#include "assay/descriptors.hpp"
#include "assay/slab.hpp"

namespace assay {

// What happened in an executor so far, exactly.
struct ExecutorStats {
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

namespace detail {

using audited::TaskFlags;
using audited::TaskHeader;

// What the scheduler tells the executor. Called between polls, in a consistent state; may use the executor.
class SchedulerEvents {
 public:
  virtual void on_unhandled_exception(TaskHeader& task, std::exception_ptr error) noexcept = 0;
  virtual void on_stranded(TaskHeader& task) noexcept = 0;

 protected:
  ~SchedulerEvents() = default;
};

class Scheduler final : public audited::TaskCore {
 public:
  static constexpr unsigned max_nested_cancels = 1000;

  // Made by SchedulerOwner, and destroyed with its last reference.
  explicit Scheduler(const SlabOptions& memory) : slab_(memory) {}
  ~Scheduler() override = default;

  // A new task, its future constructed from args; queued for its first poll. Null: full, and growth is off. Throws
  // std::bad_alloc and what F's constructor throws, and then nothing has happened.
  template <class F, class... Args>
  ASSAY_HOT ASSAY_RUNS_OTHERS audited::Task<F>* spawn(const char* name, Args&&... args) ASSAY_NONBLOCKING {
    check_owner();
    constexpr std::size_t size_class = Slab::class_of(sizeof(audited::Task<F>));
    SlabSlot* const slot = slab_.try_take(sizeof(audited::Task<F>), size_class);
    if (slot == nullptr) return nullptr;
    Making making(*this, *slot);
    audited::Task<F>& task = ASSAY_UNCHECKED(make_task<F>(*slot, std::forward<Args>(args)...));
    making.done();
    start(task, name);
    return &task;
  }

  // Polls the task at the head of the ready queue. False: the queue is empty.
  bool run_one(Executor* executor) noexcept { return run(executor, 1) != 0; }

  // Takes up to `most` tasks from the head of the ready queue, and polls those that are to be polled; stops when `until` is
  // done. Returns how many it took.
  ASSAY_RUNS_OTHERS std::size_t run(Executor* executor, std::size_t most, const TaskHeader* until = nullptr) noexcept
      ASSAY_NONBLOCKING;

  // Queues what other threads woke, and takes back what they released.
  ASSAY_RUNS_OTHERS void drain_inbox() noexcept ASSAY_NONBLOCKING;

  bool has_ready() const noexcept { return first_ready() != nullptr; }
  bool is_running() const noexcept { return running_; }

  // Readable when another thread has woken this executor out of its sleep.
  int wakeup_fd() const noexcept { return wakeup_.fd(); }
  void clear_wakeup() noexcept { wakeup_.clear(); }

  // Destroys the future now; of the task that is being polled: when its poll returns. Does nothing to one that is done.
  ASSAY_RUNS_OTHERS void cancel(TaskHeader& task) noexcept ASSAY_NONBLOCKING;

  // Who is woken when the task is done.
  ASSAY_RUNS_OTHERS static void set_joiner(TaskHeader& task, const LocalWaker& waker) noexcept ASSAY_NONBLOCKING;

  // The handle lets go of its task: cancels it, or lets it run on by itself.
  ASSAY_RUNS_OTHERS void drop_handle(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  void detach(TaskHeader& task) noexcept;

  // Ends every future, wakes nobody, and gives up the executor's reference.
  void close() noexcept;

  void set_events(SchedulerEvents* events) noexcept { events_ = events; }

  Slab& slab() noexcept { return slab_; }

  const ExecutorStats& stats() noexcept {
    stats_.local_wakes = local_wakes_;
    stats_.enqueued = enqueued_;
    return stats_;
  }

  // Calls visit(TaskHeader&) for each task that is not done.
  template <class Visit>
  void for_each_task(Visit&& visit) {
    check_owner();
    for_each_in_memory([&](TaskHeader& task) {
      if (!task.has(TaskFlags::done)) visit(task);
    });
  }

  // Aborts unless the rules hold. O(tasks).
  void check_deep() noexcept;

 private:
  // While the constructor of a future runs, which may throw: gives the slot back unless a task came of it.
  class Making {
   public:
    Making(Scheduler& scheduler, SlabSlot& slot) noexcept : scheduler_(scheduler), slot_(&slot) { ++scheduler_.making_; }
    ~Making() {
      if (slot_ == nullptr) return;
      --scheduler_.making_;
      scheduler_.slab_.release(*slot_);
    }
    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;
    void done() noexcept {
      slot_ = nullptr;
      --scheduler_.making_;
    }

   private:
    Scheduler& scheduler_;
    SlabSlot* slot_;
  };

  // Calls visit(TaskHeader&) for each task in memory, done or not. `visit` may make and free tasks.
  template <class Visit>
  void for_each_in_memory(Visit&& visit) {
    slab_.for_each([&](const audited::SlabSlot& slot) {
      if (slot.is_occupied()) visit(task_in(slot));
    });
  }

  ASSAY_RUNS_OTHERS void local_wakers_gone(TaskHeader& task) noexcept ASSAY_NONBLOCKING override { release_local(task); }
  ASSAY_RUNS_OTHERS void raise() noexcept ASSAY_NONBLOCKING override { ASSAY_UNCHECKED(wakeup_.raise()); }

  // (1) in the diagram of audited/task.hpp
  ASSAY_RUNS_OTHERS void start(TaskHeader& task, const char* name) noexcept ASSAY_NONBLOCKING {
    task.name = name;
    task.id = ++last_id_;
    ++stats_.spawned;
    wake(task);
    if (closing_) cancel(task);  // too late to run: it ends at once, like all others
  }
  ASSAY_RUNS_OTHERS void poll(TaskHeader& task, Executor* executor) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void end_poll(TaskHeader& task, bool ready) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void end_future(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void finish(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  void adopt_group(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void see_mail(TaskHeader& task, std::uint64_t word) noexcept ASSAY_NONBLOCKING;
  void report_exception(TaskHeader& task) noexcept;
  ASSAY_RUNS_OTHERS void report_stranded(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  void look_again(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  void free_if_unused(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void release_handle(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void release_local(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
  void orphan(TaskHeader& task) noexcept;

  SchedulerEvents* events_ = nullptr;
  std::uint64_t last_id_ = 0;
  unsigned nested_cancels_ = 0;
  unsigned making_ = 0;
  bool running_ = false;
  bool closing_ = false;
  ExecutorStats stats_;
  Slab slab_;
  Wakeup wakeup_;
};

// The executor's reference on its scheduler.
class SchedulerOwner {
 public:
  explicit SchedulerOwner(const SlabOptions& memory) : scheduler_(std::make_unique<Scheduler>(memory).release()) {}
  ~SchedulerOwner() { scheduler_->close(); }
  SchedulerOwner(const SchedulerOwner&) = delete;
  SchedulerOwner& operator=(const SchedulerOwner&) = delete;

  Scheduler& operator*() const noexcept { return *scheduler_; }
  Scheduler* operator->() const noexcept { return scheduler_; }

 private:
  Scheduler* scheduler_;
};

// Owns the outcome of a task whose future yields a T. Dropping it cancels the task.
template <class T>
class TaskHandle {
 public:
  TaskHandle() noexcept = default;
  // Takes over the handle of a task that was just spawned.
  TaskHandle(Scheduler& scheduler, audited::TaskOf<T>& task) noexcept
      : scheduler_(&scheduler), task_(&task), generation_(task.slot->generation()) {
    ASSAY_CHECK(!task.has(TaskFlags::handle), "internal: a task was given two handles");
    ASSAY_ASSERT(!task.has(TaskFlags::running), "internal: a task was given its handle while it ran");
    task.flags |= TaskFlags::handle;
  }
  TaskHandle(TaskHandle&& other) noexcept
      : scheduler_(other.scheduler_), task_(std::exchange(other.task_, nullptr)), generation_(other.generation_) {}
  // Lets go of the task it had, which is cancelled, before this returns; `other` is empty then. That comes last (rule 3): the
  // destructor of the old task's future finds the new task here.
  TaskHandle& operator=(TaskHandle&& other) noexcept {
    TaskHandle taken(std::move(other));
    std::swap(scheduler_, taken.scheduler_);
    std::swap(task_, taken.task_);
    std::swap(generation_, taken.generation_);
    return *this;
  }
  ASSAY_RUNS_OTHERS ~TaskHandle() ASSAY_NONBLOCKING {
    if (task_ != nullptr) scheduler_->drop_handle(task());
  }

  bool is_empty() const noexcept { return task_ == nullptr; }
  bool is_done() const noexcept { return is_over(task()); }
  bool is_cancelled() const noexcept { return task().has(TaskFlags::cancelled); }
  bool is_running() const noexcept { return task().has(TaskFlags::running); }
  std::uint64_t id() const noexcept { return task().id; }
  const char* name() const noexcept { return task().name; }

  // True: the task is done. False: `waker` is woken when it is; the last one set counts.
  ASSAY_RUNS_OTHERS bool is_done_or_wakes(const LocalWaker& waker) noexcept ASSAY_NONBLOCKING {
    TaskHeader& mine = task();
    if (is_over(mine)) return true;
    ASSAY_CHECK(!mine.has(TaskFlags::running), "a task awaits its own JoinHandle: it would wait for ever");
    if (mine.joiner.will_wake(waker)) return false;
    Scheduler::set_joiner(mine, waker);
    return is_done();  // asked anew: copying and dropping a waker may run code, which may let go of the task
  }
  void cancel() noexcept {
    TaskHeader& mine = task();  // before scheduler_ is used: an empty handle has none
    scheduler_->cancel(mine);
  }
  void detach() noexcept {
    TaskHeader& mine = task();
    task_ = nullptr;
    scheduler_->detach(mine);
  }

  // The output, moved out, once; or rethrows what the task threw. The task is done and was not cancelled.
  Stored<T> take() {
    TaskHeader& mine = task();
    if (mine.has(TaskFlags::has_exception)) std::rethrow_exception(mine.vtable->take_exception(mine));
    ASSAY_CHECK(mine.has(TaskFlags::has_output), "a task's outcome was asked for before it was there, or a second time");
    return task_->typed_vtable().take_output(mine);
  }

 private:
  static bool is_over(const TaskHeader& task) noexcept {
    return (task.flags & (TaskFlags::done | TaskFlags::running)) == TaskFlags::done;
  }
  TaskHeader& task() const noexcept {
    ASSAY_CHECK(task_ != nullptr, "a JoinHandle was used after it was awaited to its end, detached or moved from");
    ASSAY_ASSERT(task_->slot->generation() == generation_, "internal: a JoinHandle outlived its task");
    scheduler_->check_owner();
    return *task_;
  }

  Scheduler* scheduler_ = nullptr;
  audited::TaskOf<T>* task_ = nullptr;
  std::uint32_t generation_ = 0;
};

}  // namespace detail

}  // namespace assay
