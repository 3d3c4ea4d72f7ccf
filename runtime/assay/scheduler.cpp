// See scheduler.hpp. The numbers are those of the diagram in audited/task.hpp.
#include "assay/scheduler.hpp"

namespace assay::detail {

ASSAY_HOT void Scheduler::poll(TaskHeader& task, Executor* executor) noexcept ASSAY_NONBLOCKING {
  task.flags = (task.flags & ~TaskFlags::woken) | TaskFlags::running;
  ++stats_.polls;
  running_ = true;
  const bool ready = poll_task(task, executor);
  running_ = false;
  if (shared_word(task) != 0) adopt_group(task);
  if (ready || task.has(TaskFlags::cancel)) return end_poll(task, ready);
  task.flags &= ~TaskFlags::running;
  if (task.has(TaskFlags::woken)) {
    enqueue(task);  // (4)
  } else if (task.is_stranded()) {  // (5)
    report_stranded(task);
  }
}

// (3)
std::size_t Scheduler::run(Executor* executor, std::size_t most, const TaskHeader* until) noexcept ASSAY_NONBLOCKING {
  ASSAY_CHECK(!running_, "internal: a task was polled inside another's poll");
  std::size_t taken = 0;
  while (taken < most) {
    TaskHeader* const task = dequeue();
    if (task == nullptr) break;
    ++taken;
    if (task->has(TaskFlags::done)) {
      free_if_unused(*task);
    } else if (task->has(TaskFlags::woken)) {
      poll(*task, executor);
    } else if (task->is_stranded()) {
      report_stranded(*task);
    }
    if (until != nullptr && until->has(TaskFlags::done)) break;
  }
  return taken;
}

// (6)
void Scheduler::end_poll(TaskHeader& task, bool ready) noexcept ASSAY_NONBLOCKING {
  if (!ready) return end_future(task);
  ++(task.has(TaskFlags::has_exception) ? stats_.threw : stats_.completed);
  if (task.has(TaskFlags::cancel)) task.flags |= TaskFlags::cancelled;
  finish(task);
}

// Rule 1: the word is not 0. It was read after the poll, so every Waker made in it was seen, by whichever thread it was made.
void Scheduler::adopt_group(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  if (task.has(TaskFlags::group)) return;
  task.flags |= TaskFlags::group;
  retain_inbox();
}

// (7)
void Scheduler::cancel(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  check_owner();
  if (task.has(TaskFlags::running)) {  // also once it is DONE: its future's destructor may drop its handle
    task.flags |= TaskFlags::cancel;
    return;
  }
  if (task.has(TaskFlags::done)) return;
  ASSAY_CHECK(nested_cancels_ < max_nested_cancels,
              "more than 1000 tasks cancel each other in a chain of destructors; detach some, or let one task own all handles");
  ++nested_cancels_;
  end_future(task);
  --nested_cancels_;
}

// Destroys the future of a task that is not Ready; RUNNING keeps the task meanwhile.
void Scheduler::end_future(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  task.flags |= TaskFlags::running | TaskFlags::cancelled;
  ++stats_.cancelled;
  ASSAY_UNCHECKED(task.vtable->drop_future(task));
  finish(task);
}

// The future is gone; the outcome is there, unless the task was cancelled. Clears RUNNING as its last act but one.
void Scheduler::finish(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  ASSAY_ASSERT(task.has(TaskFlags::done) && task.has(TaskFlags::running), "internal: a task ended that did not run");
  if (!task.has(TaskFlags::handle) || task.has(TaskFlags::cancelled)) {
    if (task.has(TaskFlags::has_exception) && !task.has(TaskFlags::cancelled)) {
      ASSAY_UNCHECKED(report_exception(task));
    } else {
      ASSAY_UNCHECKED(task.vtable->drop_outcome(task));
    }
  }
  LocalWaker joiner = std::move(task.joiner);  // rule 2
  task.flags &= ~(TaskFlags::running | TaskFlags::cancel | TaskFlags::woken);
  free_if_unused(task);
  std::move(joiner).wake();  // last (rule 3): a waker that the user made may run code
}

void Scheduler::drain_inbox() noexcept ASSAY_NONBLOCKING {
  if (!has_mail()) return;
  drain_tasks([this](TaskHeader& task, std::uint64_t word) { see_mail(task, word); });
}

void Scheduler::see_mail(TaskHeader& task, std::uint64_t word) noexcept ASSAY_NONBLOCKING {
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

// Nobody will ask for what the task threw.
void Scheduler::report_exception(TaskHeader& task) noexcept {
  std::exception_ptr error = task.vtable->take_exception(task);
  if (events_ != nullptr) events_->on_unhandled_exception(task, std::move(error));
}

void Scheduler::report_stranded(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  task.flags |= TaskFlags::reported;
  ++stats_.stranded;
  if (events_ != nullptr) ASSAY_UNCHECKED(events_->on_stranded(task));
}

// A waker of the task went: if that was the last, run() reports it, since nothing may be reported from inside a drop.
void Scheduler::look_again(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  if (!closing_ && task.is_stranded()) enqueue(task);
}

// (8)
void Scheduler::free_if_unused(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  if (!task.has(TaskFlags::done) || task.is_held()) return;
  ++stats_.freed;
  slab_.release(end_task(task));
}

void Scheduler::release_handle(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  check_owner();
  ASSAY_CHECK(task.has(TaskFlags::handle), "internal: a task's handle was dropped twice");
  const LocalWaker joiner = std::move(task.joiner);  // dropped last (rule 2)
  // HANDLE keeps the task while the outcome's destructor runs.
  if (task.has(TaskFlags::done) && !task.has(TaskFlags::running)) ASSAY_UNCHECKED(task.vtable->drop_outcome(task));
  task.flags &= ~TaskFlags::handle;
  release_local(task);
}

// A local holder of the task let go.
void Scheduler::release_local(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  if (task.has(TaskFlags::orphan)) {
    if (!task.has(TaskFlags::handle) && task.local_wakers == 0) drop(task);
    return;
  }
  look_again(task);
  free_if_unused(task);
}

void Scheduler::set_joiner(TaskHeader& task, const LocalWaker& waker) noexcept ASSAY_NONBLOCKING {
  LocalWaker next = waker;
  std::swap(task.joiner, next);  // the previous one is dropped last
}

void Scheduler::drop_handle(TaskHeader& task) noexcept ASSAY_NONBLOCKING {
  // What is left of most tasks when they have been awaited.
  if (task.flags == (TaskFlags::done | TaskFlags::handle) && task.local_wakers == 0 && task.joiner.is_noop()) {
    check_owner();
    task.flags = TaskFlags::done;
    return free_if_unused(task);
  }
  const LocalWaker joiner = std::move(task.joiner);  // not woken: who awaited has just given that up
  cancel(task);
  release_handle(task);
}

void Scheduler::detach(TaskHeader& task) noexcept {
  check_owner();
  if (task.has(TaskFlags::has_exception) && events_ != nullptr && !closing_) {
    task.flags |= TaskFlags::running;  // rule 3
    report_exception(task);
    task.flags &= ~TaskFlags::running;
  }
  release_handle(task);
}

// The executor is going, and something on this thread still holds the task: all of that becomes one remote reference.
void Scheduler::orphan(TaskHeader& task) noexcept {
  if (!task.has(TaskFlags::handle) && task.local_wakers == 0) return;
  task.flags |= TaskFlags::orphan;
  clone(task);
  adopt_group(task);
}

void Scheduler::close() noexcept {
  check_owner();
  ASSAY_CHECK(!running_, "an Executor was destroyed by one of its own tasks");
  ASSAY_CHECK(making_ == 0, "an Executor was destroyed while it made a task, by the constructor of the task's future");
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
  for_each_in_memory([this](TaskHeader& task) { orphan(task); });
  // From here on, a task of which a Waker is left belongs to the thread that drops the last one: not even a flag is read.
  close_tasks([this](TaskHeader& task, std::uint64_t word) {
    if (count_of(word) == 0) see_mail(task, word);
  });
  slab_.for_each_live([this](std::byte* slot) { slab_.abandon(slot); });
  events_ = nullptr;
  release_inbox();
}

void Scheduler::check_deep() noexcept {
  check_owner();
  std::size_t queued = 0;
  for_each_in_memory([&](const TaskHeader& task) {
    queued += task.has(TaskFlags::queued) ? 1 : 0;
    ASSAY_CHECK(!task.has(TaskFlags::done) || task.is_held(), "internal: a task that nothing holds was not freed");
    ASSAY_CHECK(!task.has(TaskFlags::has_output | TaskFlags::has_exception) || task.has(TaskFlags::done),
                "internal: a task has an outcome before it is done");
    ASSAY_CHECK(task.has(TaskFlags::running | TaskFlags::group) || count_of(shared_word(task)) == 0,
                "internal: Wakers exist that hold no reference");
  });
  check_inbox();
  std::size_t ready = 0;
  for (const TaskHeader* task = first_ready(); task != nullptr; task = task->next_ready, ++ready) {
    ASSAY_CHECK(task->has(TaskFlags::queued) && (task->next_ready != nullptr || task == last_ready()),
                "internal: the ready queue is broken");
  }
  ASSAY_CHECK(queued == ready, "internal: the ready queue and the tasks marked queued differ");
  slab_.check_deep();
}

}  // namespace assay::detail
