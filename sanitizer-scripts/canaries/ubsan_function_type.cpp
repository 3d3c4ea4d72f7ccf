// expect: through pointer to incorrect function type
// A call through a pointer of the wrong type: what a wrong entry of a waker's vtable is.
#include <cstdio>

namespace {
void take_pointer(int* number) { std::printf("%d\n", *number); }
}  // namespace

int main() {
  int number = 1;
  void (*volatile entry)(void*) = reinterpret_cast<void (*)(void*)>(&take_pointer);
  entry(&number);
}
