// A plain function that returns an Async escapes the check of dangling arguments, unless it says that it only passes one on.
// expect: neither a coroutine nor a coroutine wrapper
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
ASSAY_CORO_WRAPPER Async<int> passes_on() { return six(); }

#ifdef ASSAY_FAIL
Async<int> passes_on_silently() { return six(); }
#endif
