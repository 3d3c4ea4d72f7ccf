// Purpose: a task: a type-erased header with its life in one word of flags, and behind it the future, or what it came to.
//
//                spawn (1)                          wake (2)                      run (3)
//     (nothing) -----------> QUEUED|WOKEN  <------------------- (waiting) <--------------------.
//                                 |                                ^                           |
//                                 |  run (3)                       |  Pending, not woken (5)   |
//                                 `-----------> RUNNING -----------'                           |
//                                                 |  `--- Pending, WOKEN meanwhile (4): QUEUED-'
//                        Ready, threw, or         |
//                        CANCEL asked (6)         v
//     (waiting) or QUEUED --- cancel (7) ---->  DONE  --- nothing holds it (8) ---> (nothing)
//
//   (1) start  (2) wake  (3)-(5) run, poll  (6) end_poll  (7) cancel  (8) free_if_unused: scheduler.*, task_core.hpp
//
// Thread rules: everything here is plain memory of the owner thread, but for the RemoteNode.
// Invariants:
//  (1) The future lives until DONE is set; DONE is set before its destructor runs, so wakes and cancels from there do
//      nothing. An output or exception lives exactly while HAS_OUTPUT or HAS_EXCEPTION is set.
//  (2) The task's memory is kept while any of QUEUED, RUNNING, HANDLE, GROUP is set or local_wakers > 0, or not DONE.
//  (3) HAS_OUTPUT and HAS_EXCEPTION outlast the poll only together with HANDLE.
//  (4) QUEUED is set exactly while the task is in the ready queue; it is cleared before the poll.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "assay/base/check.hpp"
#include "assay/audited/context.hpp"
#include "assay/audited/inbox.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/audited/slot.hpp"
#include "assay/base/stored.hpp"
#include "assay/base/task_flags.hpp"

namespace assay::audited {

class SlabSlot;
struct TaskHeader;

struct TaskVTable {
  bool (*poll)(TaskHeader&, Context&) noexcept;  // true: done, and the outcome is stored
  void (*drop_future)(TaskHeader&) noexcept;
  void (*drop_outcome)(TaskHeader&) noexcept;  // the output or the exception, whichever there is
  std::exception_ptr (*take_exception)(TaskHeader&) noexcept;
  const std::source_location* (*location)(const TaskHeader&) noexcept;  // where its coroutine waits, or null
  void (*destroy_header)(TaskHeader&) noexcept ASSAY_NONBLOCKING;
  std::size_t size;
};

// The table of a task whose future yields a T.
template <class T>
struct TypedTaskVTable : TaskVTable {
  Stored<T> (*take_output)(TaskHeader&);  // moves it out; may throw
};

struct TaskHeader : RemoteNode {
  TaskHeader(Inbox& owner, const TaskVTable& table) noexcept : RemoteNode(owner), vtable(&table) {}

  // What each poll touches is in the first 64 bytes.
  const TaskVTable* vtable;
  TaskHeader* next_ready = nullptr;
  std::uint32_t flags = 0;
  std::uint32_t local_wakers = 0;
  LocalWaker joiner;  // who awaits the handle
  const char* name = nullptr;
  std::uint64_t id = 0;
  SlabSlot* slot = nullptr;  // in which it lies; stays behind when the task goes, so that a stale handle is told by the tag

  bool has(std::uint32_t flag) const noexcept { return (flags & flag) != 0; }

  // Something may still come for the task's memory (invariant 2).
  bool is_held() const noexcept {
    return has(TaskFlags::queued | TaskFlags::running | TaskFlags::handle | TaskFlags::group) || local_wakers != 0;
  }
  // Nothing will ever poll the task again, though it is not done; and that was not reported yet.
  bool is_stranded() const noexcept {
    return local_wakers == 0 && !has(TaskFlags::done | TaskFlags::queued | TaskFlags::running | TaskFlags::group |
                                     TaskFlags::reported);
  }
};

// A task whose future yields a T.
template <class T>
struct TaskOf : TaskHeader {
  // SAFETY(T2): only Task<F> with Output T derives from TaskOf<T>, and its table is a TypedTaskVTable<T>.
  const TypedTaskVTable<T>& typed_vtable() const noexcept { return static_cast<const TypedTaskVTable<T>&>(*vtable); }

 private:
  template <class F>
  friend struct Task;
  TaskOf(Inbox& owner, const TypedTaskVTable<T>& table) noexcept : TaskHeader(owner, table) {}
};

// A future that can say where its coroutine waits.
template <class F>
concept Located = requires(const F& future) {
  { future.waiting_at() } -> std::convertible_to<const std::source_location*>;
};

template <class F>
struct Task final : TaskOf<typename F::Output> {
  using Output = typename F::Output;
  static_assert(std::is_nothrow_destructible_v<Stored<Output>>, "the destructor of what a future yields must not throw");

  template <class... Args>
  explicit Task(Inbox& owner, Args&&... args) : TaskOf<Output>(owner, table) {
    slot_.template construct<the_future>(std::forward<Args>(args)...);  // until DONE is set (invariant 1)
  }
  ~Task() {
    ASSAY_ASSERT(this->has(TaskFlags::done) && !this->has(TaskFlags::has_output | TaskFlags::has_exception),
                 "internal: a task was freed with something alive in it");
  }

  static const TypedTaskVTable<Output> table;

 private:
  // SAFETY(T1): tables are reached through headers of the Task that names them: the header is the base of a Task<F>.
  static Task& self(TaskHeader& header) noexcept { return static_cast<Task&>(header); }

  static bool poll_task(TaskHeader& header, Context& context) noexcept {
    Task& task = self(header);
    ASSAY_CHECK((task.flags & (TaskFlags::done | TaskFlags::running)) == TaskFlags::running,
                "internal: a task was polled after it was done, or outside its turn");
    try {
      auto result = task.slot_.template get<the_future>().poll(context);  // it lives: not DONE
      if (!result.is_ready()) return false;
      drop_future(header);
      task.slot_.template construct<the_output>(std::move(result).take_stored());
      task.flags |= TaskFlags::has_output;
    } catch (...) {
      task.keep_exception(std::current_exception());
    }
    return true;
  }

  ASSAY_COLD void keep_exception(std::exception_ptr error) noexcept {
    if (!this->has(TaskFlags::done)) drop_future(*this);
    slot_.template construct<the_exception>(std::move(error));
    this->flags |= TaskFlags::has_exception;
  }

  ASSAY_HOT static void drop_future(TaskHeader& header) noexcept {
    ASSAY_CHECK(!header.has(TaskFlags::done), "internal: a task's future was destroyed twice");
    ASSAY_ASSERT(header.has(TaskFlags::running), "internal: a task's future was destroyed without holding the task");
    header.flags |= TaskFlags::done;
    self(header).slot_.template destroy<the_future>();
  }

  static void drop_outcome(TaskHeader& header) noexcept {
    Task& task = self(header);
    ASSAY_ASSERT(task.has(TaskFlags::done), "internal: an outcome was dropped before its task was done");
    if (task.has(TaskFlags::has_output)) {
      task.flags &= ~TaskFlags::has_output;
      task.slot_.template destroy<the_output>();
    } else if (task.has(TaskFlags::has_exception)) {
      static_cast<void>(take_exception(header));
    }
  }

  static Stored<Output> take_output(TaskHeader& header) {
    ASSAY_CHECK(header.has(TaskFlags::has_output), "internal: an output was taken that is not there");
    struct Drop {
      TaskHeader& header;
      ~Drop() { drop_outcome(header); }
    } const drop{header};
    return std::move(self(header).slot_.template get<the_output>());
  }

  static std::exception_ptr take_exception(TaskHeader& header) noexcept {
    Task& task = self(header);
    ASSAY_CHECK(task.has(TaskFlags::has_exception), "internal: an exception was taken that is not there");
    task.flags &= ~TaskFlags::has_exception;
    std::exception_ptr taken = std::move(task.slot_.template get<the_exception>());
    task.slot_.template destroy<the_exception>();
    return taken;
  }

  static const std::source_location* location(const TaskHeader& header) noexcept {
    if constexpr (Located<F>) {
      // SAFETY(T1): the header is the base of a Task<F>, as for self(). The future lives, since the task is not DONE.
      if (!header.has(TaskFlags::done)) return static_cast<const Task&>(header).slot_.template get<the_future>().waiting_at();
    }
    return nullptr;
  }

  // SAFETY(T3): called once, by the scheduler, when nothing holds the task (invariant 2).
  static void destroy_header(TaskHeader& header) noexcept ASSAY_NONBLOCKING { std::destroy_at(std::addressof(self(header))); }

  // TaskHeader::flags say which of them lives (invariant 1).
  static constexpr std::size_t the_future = 0;
  static constexpr std::size_t the_output = 1;
  static constexpr std::size_t the_exception = 2;
  Slot<F, Stored<Output>, std::exception_ptr> slot_;
};

template <class F>
constexpr TypedTaskVTable<typename F::Output> Task<F>::table{
    {poll_task, drop_future, drop_outcome, take_exception, location, destroy_header, sizeof(Task<F>)}, take_output};

}  // namespace assay::audited
