// expect: stack-use-after-return
// A read of a local of a function that has returned.
#include <cstdio>

[[gnu::noinline]] int* volatile* dangle(int* volatile* out) {
  int local = 1;
  *out = &local;
  return out;
}

int main() {
  int* volatile pointer = nullptr;
  dangle(&pointer);
  std::printf("%d\n", *pointer);
}
