// RemoteHandle<T>: the outcome of work that is done on another thread.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

#include "assay/audited/current.hpp"
#include "assay/base/stored.hpp"
#include "assay/run.hpp"
#include "assay/task_cancelled.hpp"
#include "assay/threads/oneshot.hpp"

namespace assay::threads {

namespace detail {

// What work comes to: its output, or what it threw. Where it was cancelled, nothing is sent.
template <class T>
using Outcome = std::variant<Stored<T>, std::exception_ptr>;

}  // namespace detail

// A Future of what the work yields, for a task on any thread; rethrows what it threw; throws TaskCancelled if it was cancelled, or
// if whoever was to do it is gone. Dropping the handle cancels the work. One thread at a time.
template <class T>
class [[nodiscard("dropping a RemoteHandle cancels its work; detach() lets it go on")]] RemoteHandle {
 public:
  using Output = T;

  // For those who take work: `owner` is the id of the thread that does it, 0 if none in particular.
  RemoteHandle(OneshotReceiver<detail::Outcome<T>> receiver, std::uint64_t owner) noexcept
      : receiver_(std::move(receiver)), owner_(owner) {}

  Poll<T> poll(Context& context) {
    Poll<std::optional<detail::Outcome<T>>> sent = receiver_.poll(context);
    if (sent.is_pending()) return Pending;
    std::optional<detail::Outcome<T>> outcome = std::move(sent).take();
    if (!outcome) throw TaskCancelled();
    if (const auto* const error = std::get_if<std::exception_ptr>(&*outcome)) std::rethrow_exception(*error);
    return Ready<Stored<T>>(std::get<0>(std::move(*outcome)));
  }

  // Blocks this thread until the work is done, and returns or throws as awaiting it would. Aborts on the thread of the executor
  // that is to do it, unless it is done.
  T join() {
    ASSAY_CHECK(owner_ != audited::current_thread_id() || is_finished(),
                "RemoteHandle::join was called on the thread that is to do the work: it would wait for ever; co_await the handle");
    return run(*this);
  }

  // Asks for the end of the work, and takes nothing any more that is not done yet. A task ends at its executor's next turn, on
  // its executor's thread; work for a BlockingPool is not begun any more, but what has begun goes on.
  void cancel() noexcept { receiver_.close(); }

  // Lets the work go on by itself. What a task throws then goes to its executor's handler.
  void detach() noexcept { receiver_.abandon(); }

  // Whether awaiting it would not wait. Another thread may change it at any time.
  bool is_finished() const noexcept { return receiver_.is_ready(); }
  // True after detach() or a move.
  bool is_empty() const noexcept { return receiver_.is_empty(); }

 private:
  OneshotReceiver<detail::Outcome<T>> receiver_;
  std::uint64_t owner_;
};

namespace detail {

// The other end of a RemoteHandle.
template <class T>
class Work {
 public:
  explicit Work(OneshotSender<Outcome<T>> sender) : closed_(sender.closed()), sender_(std::move(sender)) {}

  // Whether nobody wants it done any more; the task is woken when that changes.
  bool is_cancelled(Context& context) { return closed_.poll(context).is_ready(); }
  bool is_cancelled() const noexcept { return closed_.is_ready(); }

  // Says what came of it. Throws what the work threw, where that would be lost: the handle was detached.
  void finish(Outcome<T> outcome) {
    const std::exception_ptr* const thrown = std::get_if<std::exception_ptr>(&outcome);
    const std::exception_ptr error = thrown == nullptr ? nullptr : *thrown;
    if (!sender_.send(std::move(outcome)) && error != nullptr && closed_.is_abandoned()) std::rethrow_exception(error);
  }

 private:
  OneshotClosed<Outcome<T>> closed_;
  OneshotSender<Outcome<T>> sender_;
};

}  // namespace detail

}  // namespace assay::threads
