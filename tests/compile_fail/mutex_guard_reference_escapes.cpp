// A reference from a guard must not outlive the guard: the lock is released by then.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<int> in_one_expression(Mutex<int>& mutex) {
  const int copied = *co_await mutex.lock();
  co_return copied;
}
Async<int> while_locked(Mutex<int>& mutex) {
  auto guard = co_await mutex.lock();
  int& inside = *guard;
  co_return ++inside;
}

#ifdef ASSAY_FAIL
Async<int> after_the_lock(Mutex<int>& mutex) {
  int& inside = *co_await mutex.lock();
  co_return ++inside;
}
#endif
