// The coroutine-frame pool against a table of what is taken.
#include "assay_testkit/models/frame_pool.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::FramePoolModel, assay::testkit::FramePoolSystem, 20>(data, size);
}
