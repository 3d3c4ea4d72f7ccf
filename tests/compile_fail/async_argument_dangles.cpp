// A coroutine keeps a reference to a temporary: the temporary is gone before the coroutine runs.
// expect: temporary.*destroyed at the end of the full-expression|temporary bound to .*destroyed
// compiler: clang
#include <cstddef>
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
Async<std::size_t> in_one_expression() { co_return co_await length(std::string("alive until the end of this line")); }
Async<std::size_t> of_a_local() {
  const std::string text = "alive until the end of this coroutine";
  Async<std::size_t> later = length(text);
  co_return co_await later;
}

#ifdef ASSAY_FAIL
Async<std::size_t> of_a_temporary() {
  Async<std::size_t> later = length(std::string("gone at the end of this line"));
  co_return co_await later;
}
#endif
