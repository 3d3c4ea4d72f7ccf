// A permit that is dropped at once is given back at once.
// expect: ignoring return|nodiscard
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<void> held(Semaphore& semaphore) {
  Semaphore::Permit permit = co_await semaphore.acquire();
  co_await yield_now();
}

#ifdef ASSAY_FAIL
Async<void> given_back_at_once(Semaphore& semaphore) { co_await semaphore.acquire(); }
#endif
