// Dropping the handle of a task cancels it at once, so spawn's result is not to be dropped.
// expect: ignoring return
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
void detached(Executor& executor) {
  executor.spawn(six()).detach();
  executor.spawn_detached(six());
}

#ifdef ASSAY_FAIL
void cancelled_at_once(Executor& executor) { executor.spawn(six()); }
#endif
