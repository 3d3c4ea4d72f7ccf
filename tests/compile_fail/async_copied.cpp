// A coroutine has one owner.
// expect: (call to implicitly-deleted copy constructor|use of deleted function).*Async
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

Async<int> moved(Async<int> one) {
  Async<int> other = std::move(one);
  co_return co_await other;
}

#ifdef ASSAY_FAIL
Async<int> copied(Async<int>& one) {
  Async<int> other = one;
  co_return co_await other;
}
#endif
