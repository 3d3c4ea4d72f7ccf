// An initializer_list inside the full-expression of a co_await.
#include <initializer_list>
#include <numeric>

#include "task.hpp"

Task<int> sum(std::initializer_list<int> numbers) { co_return std::accumulate(numbers.begin(), numbers.end(), 0); }

#ifdef WORKAROUND
Task<int> body() {
  const std::initializer_list<int> numbers{1, 2, 3};
  const int result = co_await sum(numbers);
  co_return result;
}
#else
Task<int> body() {
  const int result = co_await sum({1, 2, 3});
  co_return result;
}
#endif

int main() { return verdict(body().run() == 6); }
