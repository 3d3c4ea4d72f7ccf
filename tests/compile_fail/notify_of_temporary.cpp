// A Notify must outlive what waits on it.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<void> kept(Notify& notify) {
  auto notified = notify.notified();
  co_await notified;
}

#ifdef ASSAY_FAIL
Async<void> of_a_temporary() {
  auto notified = Notify().notified();
  co_await notified;
}
#endif
