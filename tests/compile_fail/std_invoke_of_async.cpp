// clang sees std::invoke as a plain function that returns an Async (docs/compilers.md): if this compiles one day, say so there.
// expect: neither a coroutine nor a coroutine wrapper
// compiler: clang
#include <functional>

#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
Async<int> called() { co_return co_await six(); }

#ifdef ASSAY_FAIL
Async<int> invoked() { co_return co_await std::invoke(six); }
#endif
