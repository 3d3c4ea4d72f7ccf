// expect: ERROR: TypeSanitizer: type-aliasing-violation
// A number read as one of another type.
#include <cstdio>
#include <cstdlib>

int main() {
  auto* number = static_cast<float*>(std::malloc(sizeof(float)));
  *number = 1.0F;
  asm volatile("" : "+r"(number) : : "memory");  // or an optimizer, which assumes that no such thing happens, leaves nothing of it
  std::printf("%d\n", *reinterpret_cast<int*>(number));
  std::free(number);
  return 1;  // the tool only reports
}
