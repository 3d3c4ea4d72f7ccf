// co_await takes futures of assay only: a C++ awaiter that resumes by itself would break the chain of coroutines.
// expect: co_await takes a Future
#include <coroutine>

#include "assay/assay.hpp"

using namespace assay;

Async<void> awaits_a_future() { co_await yield_now(); }

#ifdef ASSAY_FAIL
Async<void> awaits_a_foreign_awaiter() { co_await std::suspend_always(); }
#endif
