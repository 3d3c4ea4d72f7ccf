// `switch (co_await prvalue)` in a coroutine whose whole body declares no local.
#include "task.hpp"

Task<int> answer(int number) { co_return number; }

#ifdef WORKAROUND
Task<int> body(int number) {
  const int result = co_await answer(number);
  switch (result) {
    case 1:
      co_return 10;
    default:
      co_return 20;
  }
}
#else
Task<int> body(int number) {
  switch (co_await answer(number)) {
    case 1:
      co_return 10;
    default:
      co_return 20;
  }
}
#endif

int main() { return verdict(body(1).run() == 10 && body(0).run() == 20); }
