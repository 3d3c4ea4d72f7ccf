// A closure with a capture, made inside the full-expression of a co_await.
#include "task.hpp"

template <class F>
Task<int> call(F function) {
  co_return function();
}

#ifdef WORKAROUND
Task<int> body(const Counted& captured) {
  auto closure = [captured] { return 1; };
  const int result = co_await call(std::move(closure));
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
