// A Semaphore must outlive what waits on it.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<void> kept(Semaphore& semaphore) {
  auto acquire = semaphore.acquire();
  const Semaphore::Permit permit = co_await acquire;
}

#ifdef ASSAY_FAIL
Async<void> of_a_temporary() {
  auto acquire = Semaphore(1).acquire();
  const Semaphore::Permit permit = co_await acquire;
}
#endif
