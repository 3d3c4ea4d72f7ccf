// expect: use-after-poison
// A read of bytes that were poisoned by hand, as the runtime does with freed slots.
#include <sanitizer/asan_interface.h>

#include <cstdio>

int main() {
  char bytes[64] = {};
  char* volatile first = bytes;
  ASAN_POISON_MEMORY_REGION(bytes, sizeof bytes);
  std::printf("%d\n", *first);
}
