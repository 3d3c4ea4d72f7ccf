// Slab against a table of what is taken.
#include "assay_testkit/models/slab.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::SlabModel, assay::testkit::SlabSystem, 20>(data, size);
}
