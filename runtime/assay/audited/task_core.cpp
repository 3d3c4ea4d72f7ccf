// Purpose: the mechanisms under the scheduler. See task_core.hpp.
// Thread rules: the owner thread, but for remote_*, free_orphan and destroy_inbox.
// Invariants:
//  (1) end_task() ends tasks while the executor lives, free_orphan() afterwards; nothing else does.
#include "assay/audited/task_core.hpp"

#include <limits>

#include "assay/audited/poison.hpp"

namespace assay::audited {

namespace {

extern const RawWakerVTable remote_vtable;
extern const RawWakerVTable local_vtable;

// SAFETY(W6): both tables are used only with the RemoteNode* that raw() and the clone functions put into RawWaker::data.
RemoteNode& node_of(void* data) noexcept { return *static_cast<RemoteNode*>(data); }
// SAFETY(W6): `data` is such a RemoteNode, and every one is the base of a TaskHeader (task_core.hpp, invariant 3).
TaskHeader& task_of(void* data) noexcept { return static_cast<TaskHeader&>(node_of(data)); }
// `data` is the node, as node_of() expects. No reference is added.
RawWaker raw(TaskHeader& task, const RawWakerVTable& table) noexcept { return {static_cast<RemoteNode*>(&task), &table}; }

// SAFETY(W6): the four functions of Waker; the caller's reference keeps the node (inbox.hpp).
RawWaker remote_clone(void* data) noexcept {
  Inbox::clone(node_of(data));
  return raw(task_of(data), remote_vtable);
}
// SAFETY(W6): `data` is the node of raw(), kept by the reference that the caller has.
void remote_wake_by_ref(void* data) noexcept { Inbox::wake_by_ref(node_of(data)); }
// SAFETY(W6): `data` is the node of raw(), kept by the reference that the caller has.
void remote_drop(void* data) noexcept { Inbox::drop(node_of(data)); }
// SAFETY(W6): `data` is the node of raw(); the wake comes first, while our reference counts.
void remote_wake(void* data) noexcept {
  Inbox::wake_by_ref(node_of(data));
  Inbox::drop(node_of(data));
}

// SAFETY(W7): the four functions of LocalWaker; local_wakers keeps the task, and the thread is checked.
RawWaker local_clone(void* data) noexcept {
  TaskHeader& task = task_of(data);
  TaskCore::of(task).check_owner();
  ASSAY_CHECK(task.local_wakers < std::numeric_limits<std::uint32_t>::max(), "too many LocalWakers of one task are alive");
  ++task.local_wakers;
  return raw(task, local_vtable);
}
// SAFETY(W7): `data` is the node of raw(), kept by local_wakers; wake_local() checks the thread.
void local_wake_by_ref(void* data) noexcept { TaskCore::of(task_of(data)).wake_local(task_of(data)); }
// SAFETY(W7): `data` is the node of raw(), kept by local_wakers until this call lowers it; the thread is checked.
void local_drop(void* data) noexcept {
  TaskHeader& task = task_of(data);
  TaskCore::of(task).check_owner();
  ASSAY_CHECK(task.local_wakers > 0, "internal: a LocalWaker was dropped twice");
  if (--task.local_wakers == 0) TaskCore::of(task).local_wakers_gone(task);
}
// SAFETY(W7): `data` is the node of raw(); the wake comes first, while our reference counts.
void local_wake(void* data) noexcept {
  local_wake_by_ref(data);
  local_drop(data);
}

constexpr RawWakerVTable remote_vtable{remote_clone, remote_wake, remote_wake_by_ref, remote_drop};
constexpr RawWakerVTable local_vtable{local_clone, local_wake, local_wake_by_ref, local_drop};

}  // namespace

bool TaskCore::poll_task(TaskHeader& task, Executor* executor) noexcept {
  ASSAY_ASSERT(task.has(TaskFlags::running), "internal: a task was polled outside its turn");
  // SAFETY(W5): RUNNING keeps the task, so the borrowed wakers are valid for the poll.
  Context context(raw(task, remote_vtable), raw(task, local_vtable), executor);
  return task.vtable->poll(task, context);
}

void TaskCore::enqueue(TaskHeader& task) noexcept {
  ASSAY_ASSERT(!task.has(TaskFlags::queued) && task.next_ready == nullptr, "internal: a task was queued twice");
  task.flags |= TaskFlags::queued;
  (ready_tail_ != nullptr ? ready_tail_->next_ready : ready_head_) = &task;
  ready_tail_ = &task;
  ++enqueued_;
}

TaskHeader* TaskCore::dequeue() noexcept {
  TaskHeader* const task = ready_head_;
  if (task == nullptr) return nullptr;
  ASSAY_ASSERT(task->has(TaskFlags::queued), "internal: a task in the ready queue is not marked queued");
  ready_head_ = task->next_ready;
  if (ready_head_ == nullptr) ready_tail_ = nullptr;
  task->next_ready = nullptr;
  task->flags &= ~TaskFlags::queued;
  return task;
}

std::byte* TaskCore::end_task(TaskHeader& task) noexcept {
  ASSAY_CHECK(!task.is_held() && task.has(TaskFlags::done), "internal: a task was freed that something holds");
  ASSAY_ASSERT(!task.has(TaskFlags::orphan), "internal: a task was freed by an executor that is gone");
  task.vtable->destroy_header(task);
  // SAFETY(T3): nothing holds the task (checked above); its slot begins where its node does (make_task).
  auto* const bytes = reinterpret_cast<std::byte*>(static_cast<RemoteNode*>(&task));
  SlabSlot::of(bytes).vacate();
  return bytes;
}

void TaskCore::free_orphan(RemoteNode& node) noexcept {
  TaskHeader& task = task_of(node);
  ASSAY_ASSERT(task.has(TaskFlags::done) && task.local_wakers == 0, "internal: an orphaned task was freed too early");
  const std::size_t size = task.vtable->size;
  task.vtable->destroy_header(task);
  // SAFETY(T3): its last reference is gone and the owner touches it no more (inbox.hpp, invariant 4).
  poison(&node, size);
  release_inbox();
}

void TaskCore::destroy_inbox() noexcept {
  ASSAY_ASSERT(ready_head_ == nullptr, "internal: an executor's core went while tasks were ready");
  // SAFETY(I3): made with new by SchedulerOwner; the last reference is gone, so nobody can reach it.
  delete this;
}

std::size_t TaskCore::check_ready() const noexcept {
  std::size_t queued = 0;
  for (const TaskHeader* task = ready_head_; task != nullptr; task = task->next_ready, ++queued) {
    ASSAY_CHECK(task->has(TaskFlags::queued) && (task->next_ready != nullptr || task == ready_tail_),
                "internal: the ready queue is broken");
  }
  return queued;
}

}  // namespace assay::audited
