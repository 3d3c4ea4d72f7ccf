// Wakers. Waker: any thread, at any time. LocalWaker: the executor's thread, no atomic instruction.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "assay/audited/function_waker.hpp"
#include "assay/audited/raw_waker.hpp"

namespace assay {

// A waker that does nothing.
inline Waker noop_waker() noexcept { return Waker(); }

// A waker that calls `callable()` at each wake, from whichever thread wakes. The callable must not throw, and must be
// safe to call from several threads at once if its wakers are. One allocation; may throw std::bad_alloc.
template <class Callable>
  requires std::invocable<std::decay_t<Callable>&>
Waker function_waker(Callable&& callable) {
  return audited::FunctionWaker<std::decay_t<Callable>>::make(std::forward<Callable>(callable)).waker;
}

}  // namespace assay
