// expect: Invalid read of size 4
#include <cstdio>

int main() {
  int* volatile number = new int(1);
  delete number;
  std::printf("%d\n", *number);
}
