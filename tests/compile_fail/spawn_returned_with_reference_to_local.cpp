// A function returns the handle of a task that refers to a local of that function.
// expect: address of stack memory associated with local variable 'text' returned
// compiler: clang
#include <cstddef>
#include <string>
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

Async<std::size_t> length(const std::string& text) { co_return text.size(); }
Async<std::size_t> length_of_own(std::string text) { co_return text.size(); }
JoinHandle<std::size_t> of_own(Executor& executor, std::string text) { return executor.spawn(length_of_own(std::move(text))); }

#ifdef ASSAY_FAIL
JoinHandle<std::size_t> of_a_local(Executor& executor) {
  const std::string text = "gone when this returns";
  return executor.spawn(length(text));
}
#endif
