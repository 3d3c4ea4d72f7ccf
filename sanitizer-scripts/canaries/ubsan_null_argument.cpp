// expect: null pointer passed as argument
#include <cstdio>

namespace {
[[gnu::noinline]] int read(int* _Nonnull number) { return number == nullptr ? 0 : *number; }
}  // namespace

int main() {
  int* volatile nothing = nullptr;
  std::printf("%d\n", read(nothing));
}
