// Only futures, and callables that return one, can be blocked on.
// expect: no matching (member )?function
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
int blocked(Executor& executor) { return executor.block_on(six()); }

#ifdef ASSAY_FAIL
int blocked_on_number(Executor& executor) { return executor.block_on(6); }
#endif
