// IntrusiveList against vectors.
#include "assay_testkit/models/intrusive_list.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::ListModel, assay::testkit::ListSystem, 60>(data, size);
}
