// expect: signed integer overflow
#include <climits>
#include <cstdio>

int main() {
  volatile int number = INT_MAX;
  std::printf("%d\n", number + 1);
}
