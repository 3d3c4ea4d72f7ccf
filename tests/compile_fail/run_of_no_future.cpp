// run takes a future.
// expect: no matching function
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
int ran() { return run(six()); }

#ifdef ASSAY_FAIL
int ran_number() { return run(6); }
#endif
