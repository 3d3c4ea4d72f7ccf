// co_await takes futures of assay only.
// expect: co_await takes a Future
#include "assay/assay.hpp"

using namespace assay;

Async<void> awaits_a_future() { co_await yield_now(); }

#ifdef ASSAY_FAIL
Async<void> awaits_something_else() { co_await 42; }
#endif
