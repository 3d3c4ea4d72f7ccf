// Context::waker() and local_waker() are borrowed for the poll: to keep one, copy it.
// expect: reference to stack memory associated with local variable '.*' returned
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

LocalWaker copied(const Waker& waker) {
  Context context(waker);
  return context.local_waker();
}

#ifdef ASSAY_FAIL
const LocalWaker& borrowed(const Waker& waker) {
  Context context(waker);
  return context.local_waker();
}
#endif
