// A fuzz target that must fail: it never ends on any input of one byte or more.
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t size) {
  volatile bool forever = size > 0;
  while (forever) {
  }
  return 0;
}
