// expect: ERROR: TypeSanitizer: type-aliasing-violation
// The runtime's own room for one of several objects, of which the wrong one is read.
#include <cstdio>
#include <memory>

#include "assay/audited/slot.hpp"

int main() {
  const auto slot = std::make_unique<assay::audited::Slot<float, int>>();
  slot->construct<0>(1.0F);
  asm volatile("" : : "r"(slot.get()) : "memory");  // or an optimizer, which assumes that no such thing happens, leaves nothing of it
  std::printf("%d\n", slot->get<1>());
  return 1;  // the tool only reports
}
