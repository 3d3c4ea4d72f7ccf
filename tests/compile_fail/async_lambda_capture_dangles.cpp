// A capturing lambda that is a coroutine is called on a temporary: its captures die before the coroutine runs.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<int> of_a_named_lambda() {
  int six = 6;
  auto lambda = [six]() -> Async<int> { co_return six; };
  Async<int> later = lambda();
  co_return co_await later;
}
int of_a_task(Executor& executor) {
  int six = 6;
  return executor.block_on([six]() -> Async<int> { co_return six; });  // the executor keeps the lambda
}

#ifdef ASSAY_FAIL
Async<int> of_a_temporary() {
  int six = 6;
  Async<int> later = [six]() -> Async<int> { co_return six; }();
  co_return co_await later;
}
#endif
