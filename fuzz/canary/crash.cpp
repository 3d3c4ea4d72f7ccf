// A fuzz target that must fail: it proves that the engine finds its way through three comparisons, and that a memory
// error ends the run.
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= 3 && data[0] == 'b' && data[1] == 'u' && data[2] == 'g') {
    const std::uint8_t* volatile copy = new std::uint8_t[1]{};
    delete[] copy;
    return copy[0] == 0 ? 0 : 1;
  }
  return 0;
}
