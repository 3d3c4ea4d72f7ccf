// The life of tasks and their wakers against a scheduler of integers.
#include "assay_testkit/models/task.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::TaskModel, assay::testkit::TaskSystem, 16>(data, size);
}
