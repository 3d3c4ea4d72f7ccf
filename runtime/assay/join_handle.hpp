// JoinHandle<T>: a task's outcome, to be awaited.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "assay/async.hpp"
#include "assay/future.hpp"
#include "assay/scheduler.hpp"
#include "assay/task_cancelled.hpp"

namespace assay {

// A Future of what the task yields; rethrows what the task threw; throws TaskCancelled if it was cancelled. Dropping the
// handle cancels the task. The executor's thread only; the handle may outlive the executor, whose end cancels the task.
template <class T>
class [[nodiscard("dropping a JoinHandle cancels its task; detach() lets it run on")]] JoinHandle {
 public:
  using Output = T;

  JoinHandle() noexcept = default;
  // For Executor: wraps the handle of a task that was just spawned.
  explicit JoinHandle(detail::TaskHandle<T> handle) noexcept : handle_(std::move(handle)) {}

  ASSAY_RUNS_OTHERS Poll<T> poll(Context& context) ASSAY_NONBLOCKING {
    if (!handle_.is_done_or_wakes(context.local_waker())) return Pending;
    return ASSAY_UNCHECKED(Ready<Stored<T>>(take()));
  }

  // The outcome, if the task is done: as awaiting it would give or throw. Empties the handle then. O(1).
  std::optional<Stored<T>> try_join() {
    if (!handle_.is_done()) return std::nullopt;
    return take();
  }

  // Ends the task: its future is destroyed before this returns; if it is the caller itself, when its poll returns. Nothing
  // happens to a task that is done.
  void cancel() noexcept { handle_.cancel(); }

  // Lets the task run on by itself. What it throws goes to the executor's handler. Empties the handle.
  void detach() noexcept { handle_.detach(); }

  bool is_finished() const noexcept { return handle_.is_done(); }
  bool is_cancelled() const noexcept { return handle_.is_cancelled(); }
  bool is_running() const noexcept { return handle_.is_running(); }
  // True once the outcome was taken, or after detach() or a move.
  bool is_empty() const noexcept { return handle_.is_empty(); }
  std::uint64_t id() const noexcept { return handle_.id(); }
  std::string_view name() const noexcept { return handle_.name(); }

 private:
  Stored<T> take() {
    detail::TaskHandle<T> mine = std::move(handle_);  // gone when this returns or throws
    if (mine.is_cancelled()) throw TaskCancelled();
    return mine.take();
  }

  detail::TaskHandle<T> handle_;
};

}  // namespace assay
