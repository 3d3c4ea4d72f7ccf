// A std::function converted from a closure inside the full-expression of a co_await.
#include <functional>

#include "task.hpp"

Task<int> call(std::function<int()> function) { co_return function(); }

#ifdef WORKAROUND
Task<int> body(const Counted& captured) {
  std::function<int()> function = [captured] { return 1; };
  const int result = co_await call(std::move(function));
  co_return result;
}
#else
Task<int> body(const Counted& captured) {
  const int result = co_await call([captured] { return 1; });
  co_return result;
}
#endif

int main() {
  {
    const Counted captured;
    if (body(captured).run() != 1) return 2;
  }
  return lives_balance();
}
