// A lock that is released at once protects nothing.
// expect: ignoring return|nodiscard
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<void> locked(Mutex<int>& mutex) {
  auto guard = co_await mutex.lock();
  ++*guard;
}

#ifdef ASSAY_FAIL
Async<void> released_at_once(Mutex<int>& mutex) { co_await mutex.lock(); }
#endif
