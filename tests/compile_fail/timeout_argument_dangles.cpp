// A timeout of a coroutine that refers to a temporary is kept beyond it.
// expect: temporary whose address is used as value of local variable .* will be destroyed at the end of the full-expression
// compiler: clang
#include <chrono>
#include <cstddef>
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
Async<std::size_t> length_of_own(std::string text) { co_return text.size(); }
Async<void> of_a_local(std::string text) {
  auto waiting = timeout(std::chrono::seconds(1), length(text));
  co_await waiting;
}
Async<void> in_one_expression() { static_cast<void>(co_await timeout(std::chrono::seconds(1), length(std::string("alive until the end of this line")))); }

#ifdef ASSAY_FAIL
Async<void> of_a_temporary() {
  auto waiting = timeout(std::chrono::seconds(1), length(std::string("gone")));
  co_await waiting;
}
#endif
