// Only futures, and callables that return one, can be spawned.
// expect: no matching (member )?function
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
JoinHandle<int> spawned(Executor& executor) { return executor.spawn(six); }

#ifdef ASSAY_FAIL
auto spawned_number(Executor& executor) { return executor.spawn(6); }
#endif
