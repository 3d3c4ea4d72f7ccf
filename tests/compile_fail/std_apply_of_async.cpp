// clang sees std::apply as a plain function that returns an Async (docs/compilers.md): if this compiles one day, say so there.
// expect: neither a coroutine nor a coroutine wrapper
// compiler: clang
#include <tuple>

#include "assay/assay.hpp"

using namespace assay;

Async<int> twice(int value) { co_return 2 * value; }
Async<int> called(std::tuple<int> arguments) { co_return co_await twice(std::get<0>(arguments)); }

#ifdef ASSAY_FAIL
Async<int> applied(std::tuple<int> arguments) { co_return co_await std::apply(twice, arguments); }
#endif
