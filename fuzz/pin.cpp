// PinCell, PinRc and PinWeak against plain counters.
#include "assay_testkit/models/pin.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::PinModel, assay::testkit::PinSystem, 60>(data, size);
}
