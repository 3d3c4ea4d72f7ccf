// A join_all that nobody awaits does not wait.
// expect: ignoring return
#include "assay/assay.hpp"

using namespace assay;

Async<void> waits(TaskGroup& group) { co_await group.join_all(); }

#ifdef ASSAY_FAIL
void does_not_wait(TaskGroup& group) { group.join_all(); }
#endif
