// A Mutex must outlive what waits on it.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<void> kept(Mutex<int>& mutex) {
  auto lock = mutex.lock();
  auto guard = co_await lock;
  ++*guard;
}

#ifdef ASSAY_FAIL
Async<void> of_a_temporary() {
  auto lock = Mutex<int>(6).lock();
  auto guard = co_await lock;
  ++*guard;
}
#endif
