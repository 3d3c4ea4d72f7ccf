// A coroutine that nobody awaits, polls or spawns does nothing.
// expect: ignoring return.*Async
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
Async<void> awaited() { co_await six(); }

#ifdef ASSAY_FAIL
void ignored() { six(); }
#endif
