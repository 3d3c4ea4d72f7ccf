// A task would run a coroutine that refers to a temporary.
// expect: temporary whose address is used as value of local variable .* will be destroyed at the end of the full-expression
// compiler: clang
#include <cstddef>
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
Async<std::size_t> length_of_own(std::string text) { co_return text.size(); }
void spawned(Executor& executor, const std::string& text) {
  auto first = executor.spawn(length(text));
  auto second = executor.spawn("named", length_of_own(std::string("goes into the coroutine")));
}
Async<std::size_t> in_one_expression(Executor& executor) {
  co_return co_await executor.spawn(length(std::string("alive until the end of this line")));
}

#ifdef ASSAY_FAIL
void of_a_temporary(Executor& executor) { auto task = executor.spawn(length(std::string("gone"))); }
#endif
