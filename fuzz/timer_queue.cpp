// TimerQueue against a list sorted by deadline, then by arming.
#include "assay_testkit/models/timer_queue.hpp"

#include "support/drive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return assay::fuzz::drive<assay::testkit::TimerModel, assay::testkit::TimerSystem, 60>(data, size);
}
