// expect: use-of-uninitialized-value
// A decision on bytes that were poisoned by hand, as the runtime does with freed slots.
#include <sanitizer/msan_interface.h>

#include <cstdio>

int main() {
  char bytes[64] = {};
  __msan_poison(bytes, sizeof bytes);
  char* volatile first = bytes;
  if (*first == 1) {
    std::puts("one");
  }
}
