// `while (co_await prvalue)` in a coroutine whose whole body declares no local.
#include "task.hpp"

Task<int> countdown(int& number) { co_return --number; }

#ifdef WORKAROUND
Task<int> body(int& number) {
  for (;;) {
    const int left = co_await countdown(number);
    if (left == 0) break;
  }
  co_return 10;
}
#else
Task<int> body(int& number) {
  while (co_await countdown(number)) {
  }
  co_return 10;
}
#endif

int main() {
  int number = 3;
  return verdict(body(number).run() == 10 && number == 0);
}
