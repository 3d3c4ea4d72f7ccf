// Purpose: what a poll is given: two borrowed wakers of its task, and the executor that polls it, if there is one.
// Thread rules: lives on the stack of the polling thread for one poll.
// Invariants:
//  (1) The wakers are valid for the whole poll, since the poller keeps the task alive; keeping one means copying it.
//  (2) depth() counts coroutines that are polled inside each other on the native stack (base/poll_state.hpp).
#pragma once

#include "assay/audited/raw_waker.hpp"
#include "assay/base/poll_state.hpp"

namespace assay {

class Executor;

class Context : public audited::PollState {
 public:
  // A context outside any executor, around a waker that the caller keeps alive. Both waker() and local_waker() wake it.
  // SAFETY(W5): the borrowed wakers point to `waker`, which the caller keeps alive (lifetimebound) for the poll.
  explicit Context(const Waker& waker ASSAY_LIFETIMEBOUND) noexcept
      : waker_(waker.as_raw()), local_waker_(waker.as_raw()), executor_(nullptr) {}

  // For executors: both raw wakers must stay valid for as long as the context lives.
  // SAFETY(W5): contract passed on to the caller.
  ASSAY_UNSAFE ASSAY_HOT Context(RawWaker waker, RawWaker local_waker, Executor* executor) noexcept
      : waker_(waker), local_waker_(local_waker), executor_(executor) {}

  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // The waker of the polled task for any thread. Copy it to keep it (one atomic instruction).
  const Waker& waker() const noexcept ASSAY_LIFETIMEBOUND { return waker_.get(); }

  // The waker of the polled task for this thread. Copy it to keep it (no atomic instruction).
  const LocalWaker& local_waker() const noexcept ASSAY_LIFETIMEBOUND { return local_waker_.get(); }

  // The executor that polls, or null outside one.
  Executor* executor() const noexcept { return executor_; }

  // Wakes the polled task, as local_waker().wake_by_ref() would: it is polled again. Its executor reads that when the poll returns.
  void wake_again() noexcept {
    executor_ != nullptr ? count_wake() : local_waker().wake_by_ref();
  }

 private:
  audited::Borrowed<Waker> waker_;
  audited::Borrowed<LocalWaker> local_waker_;
  Executor* executor_;
};

}  // namespace assay
