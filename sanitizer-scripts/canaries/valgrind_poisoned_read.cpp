// expect: Invalid read of size 1
// A read of bytes that a client request made off limits, as the runtime does with freed slots.
#include <valgrind/memcheck.h>

#include <cstdio>

int main() {
  char* volatile bytes = new char[64]();
  static_cast<void>(VALGRIND_MAKE_MEM_NOACCESS(bytes, 64));
  std::printf("%d\n", *bytes);
  delete[] bytes;
}
