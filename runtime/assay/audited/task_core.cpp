// Purpose: the mechanisms under the scheduler. See task_core.hpp.
// Thread rules: the owner thread, but for remote_*, free_orphan and destroy_inbox.
// Invariants:
//  (1) end_task() ends tasks while the executor lives, free_orphan() afterwards; nothing else does.
#include "assay/audited/task_core.hpp"

#include <limits>

#include "assay/audited/poison.hpp"

namespace assay::audited {

// SAFETY(W6): `data` is the task's RemoteNode (task_core.hpp: Wakers), and every one is the base of a TaskHeader (invariant 3).
TaskHeader& TaskCore::Wakers::task_of(void* data) noexcept ASSAY_NONBLOCKING {
  return TaskCore::task_of(*static_cast<RemoteNode*>(data));
}

// SAFETY(W6): the four functions of Waker; the caller's reference keeps the node (inbox.hpp).
RawWaker TaskCore::Wakers::remote_clone(void* data) noexcept ASSAY_NONBLOCKING {
  clone(task_of(data));
  return raw(task_of(data), remote_table);
}
// SAFETY(W6): `data` is the node of raw(), kept by the reference that the caller has.
void TaskCore::Wakers::remote_wake_by_ref(void* data) noexcept ASSAY_NONBLOCKING { Inbox::wake_by_ref(task_of(data)); }
// SAFETY(W6): `data` is the node of raw(), kept by the reference that the caller has.
void TaskCore::Wakers::remote_drop(void* data) noexcept ASSAY_NONBLOCKING { drop(task_of(data)); }
// SAFETY(W6): `data` is the node of raw(); the wake comes first, while our reference counts.
void TaskCore::Wakers::remote_wake(void* data) noexcept ASSAY_NONBLOCKING {
  Inbox::wake_by_ref(task_of(data));
  drop(task_of(data));
}

// SAFETY(W7): the four functions of LocalWaker; local_wakers keeps the task, and the thread is checked.
RawWaker TaskCore::Wakers::local_clone(void* data) noexcept ASSAY_NONBLOCKING {
  TaskHeader& task = task_of(data);
  of(task).check_owner();
  ASSAY_CHECK(task.local_wakers < std::numeric_limits<std::uint32_t>::max(), "too many LocalWakers of one task are alive");
  ++task.local_wakers;
  return raw(task, local_table);
}
// SAFETY(W7): `data` is the node of raw(), kept by local_wakers; the thread is checked.
void TaskCore::Wakers::local_wake_by_ref(void* data) noexcept ASSAY_NONBLOCKING {
  TaskHeader& task = task_of(data);
  TaskCore& core = of(task);
  core.check_owner();
  ++core.local_wakes_;
  core.wake(task);
}
// One LocalWaker less.
void TaskCore::Wakers::local_release(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  ASSAY_CHECK(task.local_wakers > 0, "internal: a LocalWaker was dropped twice");
  --task.local_wakers;
  if (task.local_wakers == 0 && !task.has(TaskFlags::queued | TaskFlags::running)) of(task).local_wakers_gone(task);
}
// SAFETY(W7): `data` is the node of raw(), kept by local_wakers until this call lowers it; the thread is checked.
void TaskCore::Wakers::local_drop(void* data) noexcept ASSAY_NONBLOCKING {
  of(task_of(data)).check_owner();
  local_release(task_of(data));
}
// SAFETY(W7): `data` is the node of raw(); the wake comes first, while our reference counts.
void TaskCore::Wakers::local_wake(void* data) noexcept ASSAY_NONBLOCKING {
  local_wake_by_ref(data);
  local_release(task_of(data));
}

void TaskCore::free_orphan(RemoteNode& node) noexcept ASSAY_NONBLOCKING {
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

}  // namespace assay::audited
