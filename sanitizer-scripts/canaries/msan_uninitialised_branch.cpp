// expect: use-of-uninitialized-value
#include <cstdio>

int main() {
  int* volatile number = new int;
  if (*number == 1) {
    std::puts("one");
  }
  delete number;
}
