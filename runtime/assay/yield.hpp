// Small futures about the task itself.
#pragma once

#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/future.hpp"
#include "assay/yield_now.hpp"

namespace assay {

// Never Ready, on purpose: keeps a waker, so that the task that waits is not taken for stranded. Ended by cancelling.
template <class T = void>
class [[nodiscard]] Forever {
 public:
  using Output = T;
  Forever() noexcept {}
  Poll<T> poll(Context& context) {
    if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
    return Pending;
  }

 private:
  LocalWaker waker_;
};
template <class T = void>
Forever<T> forever() noexcept {
  return Forever<T>();
}

// Yields the executor that runs the task: `Executor& executor = co_await current_executor();`
class [[nodiscard]] CurrentExecutor {
 public:
  using Output = Executor&;
  CurrentExecutor() noexcept {}
  Poll<Executor&> poll(Context& context) {
    return Ready(std::ref(detail::executor_of(context, "current_executor() was polled outside an Executor (in run()?)")));
  }
};
inline CurrentExecutor current_executor() noexcept { return CurrentExecutor(); }

}  // namespace assay
