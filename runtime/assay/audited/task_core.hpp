// Purpose: the mechanisms under the scheduler: tasks in their slots, the ready queue, the two kinds of wakers, and the way from
//   a waker, a slot or an inbox node back to its task. What they mean for a task's life is the scheduler's (scheduler.hpp).
// Thread rules: the owner thread (the one that made it), but for what Inbox lets others do.
// Invariants:
//  (1) The ready queue is a FIFO of tasks with QUEUED set; being in it keeps a task's memory.
//  (2) A wake only enqueues: no waker function polls, destroys a future, or runs user code.
//  (3) Every RemoteNode of an inbox is the base of a TaskHeader; every slot that is occupied holds a Task, at its start;
//      RawWaker::data of both tables is the task's RemoteNode.
//  (4) The core lives until the executor and every adopted group have released it (Inbox).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "assay/audited/current.hpp"
#include "assay/audited/inbox.hpp"
#include "assay/audited/slab_chunk.hpp"
#include "assay/audited/task.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

class TaskCore : public Inbox {
 public:
  TaskCore(const TaskCore&) = delete;
  TaskCore& operator=(const TaskCore&) = delete;

  bool is_owner() const noexcept { return owner_thread_ == current_thread_id(); }
  void check_owner() const noexcept {
    ASSAY_CHECK(is_owner(), "an Executor, JoinHandle or LocalWaker was used on another thread than its executor's; "
                            "use Context::waker() for a waker that may cross threads");
  }

  // The core of a task.
  // SAFETY(T1): every Inbox that a task names is the TaskCore that made it, which outlives the task.
  static TaskCore& of(const TaskHeader& task) noexcept { return static_cast<TaskCore&>(*task.inbox); }

  // What the drop of a task's last LocalWaker means, when the task is neither queued nor running.
  ASSAY_RUNS_OTHERS virtual void local_wakers_gone(TaskHeader& task) noexcept ASSAY_NONBLOCKING = 0;

 protected:
  TaskCore() noexcept = default;
  virtual ~TaskCore() = default;

  // Constructs a task in a slot that is live and empty, its future from args. Throws what F's constructor throws, and then
  // the slot is empty as before.
  template <class F, class... Args>
  ASSAY_HOT Task<F>& make_task(SlabSlot& slot, Args&&... args) {
    static_assert(alignof(Task<F>) <= SlabSlot::alignment, "a future may be aligned to 64 bytes at most");
    ASSAY_CHECK(slot.is_live() && !slot.is_occupied() && slot.size() >= sizeof(Task<F>),
                "internal: a task was to be made in a slot that is free, occupied or too small");
    // SAFETY(T4): an empty slot of at least this size (checked) and alignment; the core outlives the task (invariant 4).
    Task<F>* const task = ::new (static_cast<void*>(slot.bytes())) Task<F>(*this, std::forward<Args>(args)...);
    // SAFETY(T1): what task_in() and the tables rely on: the header, and the node in it, begin the slot.
    ASSAY_CHECK(ASSAY_ALWAYS(static_cast<void*>(static_cast<RemoteNode*>(task)) == static_cast<void*>(slot.bytes())),
                "internal: a task's header does not begin its slot");
    slot.occupy();
    task->slot = &slot;
    return *task;
  }

  // Ends a task that is done and that nothing holds (task invariant 2). Returns its slot, which is empty then.
  static SlabSlot& end_task(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(!task.is_held() && task.has(TaskFlags::done), "internal: a task was freed that something holds");
    ASSAY_ASSERT(!task.has(TaskFlags::orphan), "internal: a task was freed by an executor that is gone");
    SlabSlot& slot = *task.slot;
    ASSAY_CHECK(&task_in(slot) == &task, "internal: a task lies in another slot than it was made in");
    task.vtable->destroy_header(task);
    slot.vacate();
    return slot;
  }

  // The task in a slot that is occupied.
  // SAFETY(T1): an occupied slot holds a task at its start (invariant 3; make_task).
  static TaskHeader& task_in(const SlabSlot& slot) noexcept {
    ASSAY_CHECK(slot.is_occupied(), "internal: a task was looked for in an empty slot");
    return task_of(*reinterpret_cast<RemoteNode*>(slot.bytes()));
  }

  // Polls: true when done. The task has RUNNING set, which keeps it.
  // SAFETY(W5): RUNNING keeps the task, so the borrowed wakers are valid for the poll.
  ASSAY_HOT ASSAY_RUNS_OTHERS bool poll_task(TaskHeader& task, Executor* executor) noexcept ASSAY_NONBLOCKING {
    ASSAY_ASSERT(task.has(TaskFlags::running), "internal: a task was polled outside its turn");
    Context context(raw(task, remote_table), raw(task, local_table), executor);
    const bool is_done = ASSAY_UNCHECKED(task.vtable->poll(task, context));
    if (context.wakes() != 0) wake(task);
    local_wakes_ += context.wakes();
    return is_done;
  }

  // A wake: coalesces, and does nothing to a task that is done.
  void wake(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
    if (task.has(TaskFlags::done)) return;
    if (!task.has(TaskFlags::queued | TaskFlags::running)) enqueue(task);
    task.flags |= TaskFlags::woken;
  }
  void enqueue(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
    ASSAY_ASSERT(!task.has(TaskFlags::queued) && task.next_ready == nullptr, "internal: a task was queued twice");
    task.flags |= TaskFlags::queued;
    (ready_tail_ != nullptr ? ready_tail_->next_ready : ready_head_) = &task;
    ready_tail_ = &task;
    ++enqueued_;
  }
  TaskHeader* dequeue() noexcept ASSAY_NONBLOCKING {
    TaskHeader* const task = ready_head_;
    if (task == nullptr) return nullptr;
    ASSAY_ASSERT(task->has(TaskFlags::queued), "internal: a task in the ready queue is not marked queued");
    ready_head_ = task->next_ready;
    // SAFETY(T1): a hint, also for null: reads nothing. Among many tasks the next one is seldom in the cache.
    __builtin_prefetch(ready_head_);
    if (ready_head_ == nullptr) ready_tail_ = nullptr;
    task->next_ready = nullptr;
    task->flags &= ~TaskFlags::queued;
    return task;
  }

  // The task's shared word (inbox.hpp), as the owner may read it at any time.
  // SAFETY(I4): relaxed: a 0 is its first value, or was written by the owner itself, which took the last drop's message (inbox.hpp).
  static std::uint64_t shared_word(const TaskHeader& task) noexcept { return task.word.load_relaxed(); }

  // Inbox::drain and Inbox::close, with tasks for nodes.
  template <class Seen>
  void drain_tasks(Seen&& seen) noexcept {
    drain([&](RemoteNode& node, std::uint64_t word) { seen(task_of(node), word); });
  }
  template <class Seen>
  void close_tasks(Seen&& seen) noexcept {
    close([&](RemoteNode& node, std::uint64_t word) { seen(task_of(node), word); });
  }

  // The ends of the ready queue, for check_deep().
  const TaskHeader* first_ready() const noexcept { return ready_head_; }
  const TaskHeader* last_ready() const noexcept { return ready_tail_; }

  std::uint64_t local_wakes_ = 0;
  std::uint64_t enqueued_ = 0;

 private:
  // SAFETY(T1): invariant 3.
  static TaskHeader& task_of(RemoteNode& node) noexcept { return static_cast<TaskHeader&>(node); }

  // The functions of the two kinds of wakers.
  // SAFETY(W6): both tables are used only with what raw() put into RawWaker::data: the task's RemoteNode.
  struct Wakers {
    static RawWaker remote_clone(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void remote_wake(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void remote_wake_by_ref(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void remote_drop(void* data) noexcept ASSAY_NONBLOCKING;
    static RawWaker local_clone(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void local_wake(void* data) noexcept ASSAY_NONBLOCKING;
    static void local_wake_by_ref(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void local_drop(void* data) noexcept ASSAY_NONBLOCKING;
    ASSAY_RUNS_OTHERS static void local_release(TaskHeader& task) noexcept ASSAY_NONBLOCKING;
    static TaskHeader& task_of(void* data) noexcept ASSAY_NONBLOCKING;
  };
  static constexpr RawWakerVTable remote_table{Wakers::remote_clone, Wakers::remote_wake, Wakers::remote_wake_by_ref,
                                               Wakers::remote_drop};
  static constexpr RawWakerVTable local_table{Wakers::local_clone, Wakers::local_wake, Wakers::local_wake_by_ref,
                                              Wakers::local_drop};

  // A waker of the task. No reference is added.
  static RawWaker raw(TaskHeader& task, const RawWakerVTable& table) noexcept {
    return {static_cast<RemoteNode*>(&task), &table};
  }

  ASSAY_RUNS_OTHERS void free_orphan(RemoteNode& node) noexcept ASSAY_NONBLOCKING override;
  void destroy_inbox() noexcept override;

  const std::uint64_t owner_thread_ = current_thread_id();
  TaskHeader* ready_head_ = nullptr;
  TaskHeader* ready_tail_ = nullptr;
};

}  // namespace assay::audited
