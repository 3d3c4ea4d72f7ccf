// clang sees std::function as a plain function that returns an Async (docs/compilers.md): if this compiles one day, say so there.
// expect: neither a coroutine nor a coroutine wrapper
// compiler: clang
#include <functional>

#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
struct Handler {
  virtual ~Handler() = default;
  virtual Async<int> handle() = 0;
};
struct Six final : Handler {
  Async<int> handle() override { co_return 6; }
};
Async<int> by_virtual_function(Handler& handler) { co_return co_await handler.handle(); }
Async<int> by_pointer(Async<int> (*function)()) { co_return co_await function(); }
template <class F>
Async<int> by_template(F function) {
  co_return co_await function();
}
Async<int> uses_template() { co_return co_await by_template(six); }
std::function<JoinHandle<int>()> by_handle(Executor& executor) {
  return [&executor] { return executor.spawn(six); };
}

#ifdef ASSAY_FAIL
Async<int> by_function(std::function<Async<int>()> function) { co_return co_await function(); }
Async<int> uses_function() { co_return co_await by_function(six); }
#endif
