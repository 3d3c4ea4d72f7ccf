// A function returns a coroutine that refers to a local of that function.
// expect: address of stack memory associated with (local variable|parameter) 'text' returned
// compiler: clang
#include <cstddef>
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
ASSAY_CORO_WRAPPER Async<std::size_t> of_the_callers(const std::string& text) { return length(text); }

#ifdef ASSAY_FAIL
ASSAY_CORO_WRAPPER Async<std::size_t> of_a_local() {
  const std::string text = "gone when this returns";
  return length(text);
}
#endif
