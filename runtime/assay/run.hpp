// run(future): blocks this thread on one future, with no executor: the whole runtime in a few lines.
#pragma once

#include <utility>

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"
#include "assay/future.hpp"

namespace assay {

// Polls `future`, sleeping in between until its waker is used, from whatever thread. Returns its output, throws what it
// throws. May be nested, and inside a task it blocks that task's thread. Timers and file descriptors need an Executor.
// One allocation (the waker may outlive this call).
template <Future F>
typename F::Output run(F& future) {
  const auto [waker, parker] = audited::FunctionWaker<audited::Parker>::make();
  Context context(waker);
  for (;;) {
    Poll<typename F::Output> result = future.poll(context);
    if (result.is_ready()) return std::move(result).take();
    parker.park();
  }
}

template <Future F>
typename F::Output run(F&& future) {
  return run(future);
}

}  // namespace assay
