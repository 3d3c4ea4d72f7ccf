// A Context borrows its waker: it must not outlive it.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

bool of_a_local() {
  const Waker waker = noop_waker();
  Context context(waker);
  return context.executor() == nullptr;
}

#ifdef ASSAY_FAIL
bool of_a_temporary() {
  Context context{noop_waker()};
  return context.executor() == nullptr;
}
#endif
