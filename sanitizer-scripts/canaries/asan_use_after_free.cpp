// expect: heap-use-after-free
// A read through a pointer into freed memory.
#include <cstdio>

int main() {
  int* volatile number = new int(1);
  delete number;
  std::printf("%d\n", *number);
}
