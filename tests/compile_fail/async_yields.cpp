// An Async has one result: it cannot co_yield.
// expect: yield_value
#include "assay/assay.hpp"

using namespace assay;

Async<int> returns() { co_return 6; }

#ifdef ASSAY_FAIL
Async<int> yields() { co_yield 6; }
#endif
