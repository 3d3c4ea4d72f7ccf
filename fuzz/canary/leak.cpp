// A fuzz target that must fail: it leaks on every input of one byte or more.
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t size) {
  if (size > 0) {
    int* volatile number = new int(1);
    number = nullptr;
  }
  return 0;
}
