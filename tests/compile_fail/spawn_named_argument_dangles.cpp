// A task with a name would run a coroutine that refers to a temporary.
// expect: temporary whose address is used as value of local variable .* will be destroyed at the end of the full-expression
// compiler: clang
#include <cstddef>
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
Async<std::size_t> length_of_own(std::string text) { co_return text.size(); }
void spawned(Executor& executor, const std::string& text) { auto task = executor.spawn("named", length(text)); }

#ifdef ASSAY_FAIL
void of_a_temporary(Executor& executor) { auto task = executor.spawn("named", length(std::string("gone"))); }
#endif
