// Purpose: the life of tasks. See scheduler.hpp, and the diagram in task.hpp whose numbers are used here.
// Thread rules: the owner thread, but for remote_*, raise, free_orphan and destroy_inbox.
// Invariants:
//  (1) RawWaker::data of both tables is the task's RemoteNode.
//  (2) One function frees tasks while the executor lives (free_if_unused), one afterwards (free_orphan).
#include "assay/audited/scheduler.hpp"

#include <limits>
#include <utility>

#include "assay/audited/poison.hpp"

namespace assay::audited {

namespace {

// SAFETY(W6): both tables are used only with the RemoteNode* that raw_waker() and the clone functions put there.
RemoteNode& node_of(void* data) noexcept { return *static_cast<RemoteNode*>(data); }
// SAFETY(T2): every RemoteNode of this library is the base of a TaskHeader.
TaskHeader& task_of(RemoteNode& node) noexcept { return static_cast<TaskHeader&>(node); }
// SAFETY(T2): every Inbox that a task names is the base of the Scheduler that spawned it, and outlives the task.
Scheduler& scheduler_of(const TaskHeader& task) noexcept { return static_cast<Scheduler&>(*task.inbox); }

extern const RawWakerVTable remote_vtable;
extern const RawWakerVTable local_vtable;

// SAFETY(W6): the four functions of Waker; see node_of. The caller's reference keeps the node (inbox.hpp).
RawWaker remote_clone(void* data) noexcept {
  Inbox::clone(node_of(data));
  return RawWaker{data, &remote_vtable};
}
// SAFETY(W6): see remote_clone.
void remote_wake_by_ref(void* data) noexcept { Inbox::wake_by_ref(node_of(data)); }
// SAFETY(W6): see remote_clone.
void remote_drop(void* data) noexcept { Inbox::drop(node_of(data)); }
// SAFETY(W6): see remote_clone; the wake comes first, while our reference counts.
void remote_wake(void* data) noexcept {
  Inbox::wake_by_ref(node_of(data));
  Inbox::drop(node_of(data));
}

// SAFETY(W7): the four functions of LocalWaker; see node_of. local_wakers keeps the task, and the thread is checked.
RawWaker local_clone(void* data) noexcept {
  TaskHeader& task = task_of(node_of(data));
  scheduler_of(task).check_owner();
  ASSAY_CHECK(task.local_wakers < std::numeric_limits<std::uint32_t>::max(), "too many LocalWakers of one task are alive");
  ++task.local_wakers;
  return RawWaker{data, &local_vtable};
}
// SAFETY(W7): see local_clone.
void local_wake_by_ref(void* data) noexcept {
  TaskHeader& task = task_of(node_of(data));
  scheduler_of(task).wake_local(task);
}
// SAFETY(W7): see local_clone.
void local_drop(void* data) noexcept {
  TaskHeader& task = task_of(node_of(data));
  scheduler_of(task).drop_local_waker(task);
}
// SAFETY(W7): see local_clone; the wake comes first, while our reference counts.
void local_wake(void* data) noexcept {
  local_wake_by_ref(data);
  local_drop(data);
}

constexpr RawWakerVTable remote_vtable{remote_clone, remote_wake, remote_wake_by_ref, remote_drop};
constexpr RawWakerVTable local_vtable{local_clone, local_wake, local_wake_by_ref, local_drop};

// SAFETY(W6): a borrowed raw waker (no reference): `data` is the node, as node_of expects.
RawWaker borrowed_waker(TaskHeader& task, const RawWakerVTable& table) noexcept {
  return RawWaker{static_cast<RemoteNode*>(&task), &table};
}

}  // namespace

Scheduler& Scheduler::make(const SlabOptions& memory) {
  // SAFETY(I3): owned by the references of the Inbox; destroy_inbox() deletes it when the last goes.
  return *new Scheduler(memory);
}

void Scheduler::destroy_inbox() noexcept {
  ASSAY_ASSERT(closing_ && ready_head_ == nullptr, "internal: an executor's core went before it was closed");
  // SAFETY(I3): made by make(); the last reference is gone, so nobody can reach it.
  delete this;
}

void Scheduler::raise() noexcept { wakeup_.raise(); }

// SAFETY(T2): slots of this slab hold tasks: spawn() constructs a Task, whose TaskHeader is its first base, in each.
TaskHeader& Scheduler::task_in(void* slot) noexcept { return *static_cast<TaskHeader*>(slot); }

// (1)
void Scheduler::start(TaskHeader& task, const char* name) noexcept {
  // SAFETY(T2): what task_in() relies on.
  ASSAY_ASSERT(static_cast<void*>(&task) == static_cast<void*>(static_cast<RemoteNode*>(&task)),
               "internal: a task's header does not begin its slot");
  task.name = name;
  task.id = ++last_id_;
  ++stats_.spawned;
  wake(task);
  if (closing_) cancel(task);  // too late to run: it ends at once, like all others
}

void Scheduler::enqueue(TaskHeader& task) noexcept {
  ASSAY_ASSERT(!task.has(TaskFlags::queued), "internal: a task was queued twice");
  ASSAY_ASSERT(task.next_ready == nullptr, "internal: a task that is not queued has a successor");
  task.flags |= TaskFlags::queued;
  (ready_tail_ != nullptr ? ready_tail_->next_ready : ready_head_) = &task;
  ready_tail_ = &task;
  ++stats_.enqueued;
}

// (2) Coalesces; does nothing to a task that is done.
void Scheduler::wake(TaskHeader& task) noexcept {
  if (task.has(TaskFlags::done)) return;
  task.flags |= TaskFlags::woken;
  if (!task.has(TaskFlags::queued | TaskFlags::running)) enqueue(task);
}

void Scheduler::wake_local(TaskHeader& task) noexcept {
  check_owner();
  ++stats_.local_wakes;
  wake(task);
}

// (3)
bool Scheduler::run_one(Executor* executor) noexcept {
  TaskHeader* const task = ready_head_;
  if (task == nullptr) return false;
  ASSAY_CHECK(!running_, "internal: a task was polled inside another's poll");
  ready_head_ = task->next_ready;
  if (ready_head_ == nullptr) ready_tail_ = nullptr;
  task->next_ready = nullptr;
  ASSAY_ASSERT(task->has(TaskFlags::queued), "internal: a task in the ready queue is not marked queued");
  task->flags &= ~TaskFlags::queued;
  if (task->has(TaskFlags::done)) {
    free_if_unused(*task);
  } else if (task->has(TaskFlags::woken)) {
    poll(*task, executor);
  } else if (is_stranded(*task)) {
    report_stranded(*task);
  }
  return true;
}

void Scheduler::poll(TaskHeader& task, Executor* executor) noexcept {
  task.flags = (task.flags & ~TaskFlags::woken) | TaskFlags::running;
  ++stats_.polls;
  running_ = true;
  bool ready = false;
  {
    // SAFETY(W5): RUNNING keeps the task, so the borrowed wakers are valid for the poll.
    Context context(borrowed_waker(task, remote_vtable), borrowed_waker(task, local_vtable), executor);
    ready = task.vtable->poll(task, context);
  }
  running_ = false;
  adopt_group(task);
  if (ready) {  // (6)
    ++(task.has(TaskFlags::has_exception) ? stats_.threw : stats_.completed);
    if (task.has(TaskFlags::cancel)) task.flags |= TaskFlags::cancelled;
    finish(task);
  } else if (task.has(TaskFlags::cancel)) {  // (6)
    end_future(task);
  } else {
    task.flags &= ~TaskFlags::running;
    if (task.has(TaskFlags::woken)) {
      enqueue(task);  // (4)
    } else if (is_stranded(task)) {  // (5)
      report_stranded(task);
    }
  }
}

// Invariant 3. The word is read after the poll, so every Waker made in it is seen, by whichever thread it was made.
void Scheduler::adopt_group(TaskHeader& task) noexcept {
  if (task.has(TaskFlags::group) || task.word.load_acquire() == 0) return;
  task.flags |= TaskFlags::group;
  retain_inbox();
}

// (7)
void Scheduler::cancel(TaskHeader& task) noexcept {
  check_owner();
  if (task.has(TaskFlags::done)) return;
  if (task.has(TaskFlags::running)) {
    task.flags |= TaskFlags::cancel;
    return;
  }
  ASSAY_CHECK(nested_cancels_ < max_nested_cancels,
              "more than 1000 tasks cancel each other in a chain of destructors; detach some, or let one task own all handles");
  ++nested_cancels_;
  end_future(task);
  --nested_cancels_;
}

// Destroys the future of a task that is not Ready; RUNNING keeps the task meanwhile.
void Scheduler::end_future(TaskHeader& task) noexcept {
  task.flags |= TaskFlags::running | TaskFlags::cancelled;
  ++stats_.cancelled;
  task.vtable->drop_future(task);
  finish(task);
}

// The future is gone; the outcome is there, unless the task was cancelled. Clears RUNNING as its last act but one.
void Scheduler::finish(TaskHeader& task) noexcept {
  ASSAY_ASSERT(task.has(TaskFlags::done) && task.has(TaskFlags::running), "internal: a task ended that did not run");
  if (!task.has(TaskFlags::handle) || task.has(TaskFlags::cancelled)) {
    if (task.has(TaskFlags::has_exception) && !task.has(TaskFlags::cancelled)) {
      std::exception_ptr error = task.vtable->take_exception(task);
      if (events_ != nullptr) events_->on_unhandled_exception(task, std::move(error));
    } else {
      task.vtable->drop_outcome(task);
    }
  }
  LocalWaker joiner = std::move(task.joiner);  // scheduler invariant 4
  task.flags &= ~(TaskFlags::running | TaskFlags::cancel | TaskFlags::woken);
  free_if_unused(task);
  std::move(joiner).wake();  // last, and of a waker that is ours: a waker that the user made may run code
}

void Scheduler::drain_inbox() noexcept {
  if (!has_mail()) return;
  drain([this](RemoteNode& node, std::uint64_t word) { see_mail(task_of(node), word); });
}

void Scheduler::see_mail(TaskHeader& task, std::uint64_t word) noexcept {
  if ((word & notified) != 0) {
    ++stats_.remote_wakes;
    wake(task);
  }
  if (count_of(word) != 0) return;
  ASSAY_ASSERT(task.has(TaskFlags::group), "internal: a task's Wakers are gone that were never adopted");
  task.flags &= ~TaskFlags::group;
  release_inbox();  // never the last: the executor holds one
  look_again(task);
  free_if_unused(task);
}

bool Scheduler::is_held(const TaskHeader& task) noexcept {
  return task.has(TaskFlags::queued | TaskFlags::running | TaskFlags::handle | TaskFlags::group) || task.local_wakers != 0;
}

bool Scheduler::is_stranded(const TaskHeader& task) noexcept {
  return !task.has(TaskFlags::done | TaskFlags::queued | TaskFlags::running | TaskFlags::group | TaskFlags::reported) &&
         task.local_wakers == 0;
}

void Scheduler::report_stranded(TaskHeader& task) noexcept {
  task.flags |= TaskFlags::reported;
  ++stats_.stranded;
  if (events_ != nullptr) events_->on_stranded(task);
}

// A waker of the task went: if that was the last, run_one() reports it, since nothing may be reported from inside a drop.
void Scheduler::look_again(TaskHeader& task) noexcept {
  if (!closing_ && is_stranded(task)) enqueue(task);
}

// (8)
void Scheduler::free_if_unused(TaskHeader& task) noexcept {
  if (!task.has(TaskFlags::done) || is_held(task)) return;
  ASSAY_ASSERT(!task.has(TaskFlags::orphan), "internal: a task was freed by an executor that is gone");
  task.vtable->destroy_header(task);
  ++stats_.freed;
  slab_.release(&task);
}

void Scheduler::drop_local_waker(TaskHeader& task) noexcept {
  check_owner();
  ASSAY_CHECK(task.local_wakers > 0, "internal: a LocalWaker was dropped twice");
  --task.local_wakers;
  if (task.local_wakers == 0) release_local(task);
}

void Scheduler::release_handle(TaskHeader& task) noexcept {
  check_owner();
  ASSAY_CHECK(task.has(TaskFlags::handle), "internal: a task's handle was dropped twice");
  const LocalWaker joiner = std::move(task.joiner);  // dropped last (scheduler invariant 4)
  // HANDLE keeps the task while the outcome's destructor runs.
  if (task.has(TaskFlags::done) && !task.has(TaskFlags::running)) task.vtable->drop_outcome(task);
  task.flags &= ~TaskFlags::handle;
  release_local(task);
}

// A local holder of the task let go.
void Scheduler::release_local(TaskHeader& task) noexcept {
  if (task.has(TaskFlags::orphan)) {
    if (!task.has(TaskFlags::handle) && task.local_wakers == 0) Inbox::drop(task);
    return;
  }
  look_again(task);
  free_if_unused(task);
}

void Scheduler::detach(TaskHeader& task) noexcept {
  check_owner();
  if (task.has(TaskFlags::has_exception) && events_ != nullptr && !closing_) {
    task.flags |= TaskFlags::running;  // keeps the task while the handler runs
    std::exception_ptr error = task.vtable->take_exception(task);
    events_->on_unhandled_exception(task, std::move(error));
    task.flags &= ~TaskFlags::running;
  }
  release_handle(task);
}

// The executor is going, and something on this thread still holds the task: all of that becomes one remote reference.
void Scheduler::orphan(TaskHeader& task) noexcept {
  if (!task.has(TaskFlags::handle) && task.local_wakers == 0) return;
  task.flags |= TaskFlags::orphan;
  Inbox::clone(task);
  adopt_group(task);
}

void Scheduler::close() noexcept {
  check_owner();
  ASSAY_CHECK(!running_, "an Executor was destroyed by one of its own tasks");
  closing_ = true;
  // Destructors may cancel and spawn; a task that is spawned now is cancelled by start(), so one pass ends all.
  for (bool found = true; found;) {
    found = false;
    for_each_task([&](TaskHeader& task) {
      ASSAY_ASSERT(!task.has(TaskFlags::running), "internal: a task runs while its executor goes");
      found = true;
      cancel(task);
    });
  }
  while (run_one(nullptr)) {  // all are done: this only empties the queue
  }
  slab_.for_each_live([this](void* slot) { orphan(task_in(slot)); });
  Inbox::close([this](RemoteNode& node, std::uint64_t word) { see_mail(task_of(node), word); });
  slab_.for_each_live([this](void* slot) { slab_.abandon(slot); });
  events_ = nullptr;
  release_inbox();
}

void Scheduler::free_orphan(RemoteNode& node) noexcept {
  TaskHeader& task = task_of(node);
  ASSAY_ASSERT(task.has(TaskFlags::done) && task.local_wakers == 0, "internal: an orphaned task was freed too early");
  const std::size_t size = task.vtable->size;
  task.vtable->destroy_header(task);
  poison(&task, size);
  release_inbox();
}

void Scheduler::check_deep() noexcept {
  check_owner();
  std::size_t queued = 0;
  for (const TaskHeader* task = ready_head_; task != nullptr; task = task->next_ready) {
    ASSAY_CHECK(task->has(TaskFlags::queued), "internal: a task in the ready queue is not marked queued");
    ASSAY_CHECK(task->next_ready != nullptr || task == ready_tail_, "internal: the ready queue's end is wrong");
    ++queued;
  }
  slab_.for_each_live([&](void* slot) {
    const TaskHeader& task = task_in(slot);
    ASSAY_CHECK(!task.has(TaskFlags::done) || is_held(task), "internal: a task that nothing holds was not freed");
    ASSAY_CHECK(!task.has(TaskFlags::has_output | TaskFlags::has_exception) || task.has(TaskFlags::done),
                "internal: a task has an outcome before it is done");
    ASSAY_CHECK(task.has(TaskFlags::running | TaskFlags::group) || count_of(task.word.load_acquire()) == 0,
                "internal: Wakers exist that hold no reference");
    if (task.has(TaskFlags::queued)) --queued;
  });
  ASSAY_CHECK(queued == 0, "internal: the ready queue and the tasks marked queued differ");
  slab_.check_deep();
}

TaskHandle::TaskHandle(TaskHeader& task) noexcept : task_(&task), generation_(task.generation) {
  ASSAY_CHECK(!task.has(TaskFlags::handle), "internal: a task was given two handles");
  ASSAY_ASSERT(!task.has(TaskFlags::running), "internal: a task was given its handle while it ran");
  task.flags |= TaskFlags::handle;
}

TaskHandle::~TaskHandle() {
  if (task_ == nullptr) return;
  cancel();
  scheduler().release_handle(*task_);
}

TaskHeader& TaskHandle::task() const noexcept {
  ASSAY_CHECK(task_ != nullptr, "a JoinHandle was used after it was awaited to its end, detached or moved from");
  ASSAY_ASSERT(task_->generation == generation_, "internal: a JoinHandle outlived its task");
  scheduler_of(*task_).check_owner();
  return *task_;
}

Scheduler& TaskHandle::scheduler() const noexcept { return scheduler_of(task()); }

void TaskHandle::set_joiner(const LocalWaker& waker) noexcept {
  TaskHeader& mine = task();
  ASSAY_CHECK(!mine.has(TaskFlags::running), "a task awaits its own JoinHandle: it would wait for ever");
  if (mine.joiner.will_wake(waker)) return;
  LocalWaker next = waker;
  std::swap(mine.joiner, next);  // the previous one is dropped last
}

void TaskHandle::cancel() noexcept { scheduler().cancel(task()); }

void TaskHandle::detach() noexcept {
  TaskHeader& mine = *std::exchange(task_, nullptr);
  scheduler_of(mine).detach(mine);
}

}  // namespace assay::audited
