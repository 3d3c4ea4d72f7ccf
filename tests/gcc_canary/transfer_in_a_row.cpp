// A million symmetric transfers in a row, unoptimised: a tail call each, or the stack overflows. (assay has a loop of
// its own and makes none.)
#include "task.hpp"

Task<int> one() { co_return 1; }

Task<int> body() {
  int sum = 0;
  for (int i = 0; i < 1'000'000; ++i) {
#ifdef WORKAROUND
    sum += one().run();
#else
    const int each = co_await one();
    sum += each;
#endif
  }
  co_return sum;
}

int main() { return verdict(body().run() == 1'000'000); }
