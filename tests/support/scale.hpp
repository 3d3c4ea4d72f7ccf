// Scales the big numbers of slow tests: ASSAY_TEST_SCALE is a percentage, 100 unless set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace assay::test {

// `full` at 100 percent; never below `least`.
inline std::uint64_t scaled(std::uint64_t full, std::uint64_t least = 1) {
  const char* const text = std::getenv("ASSAY_TEST_SCALE");
  const std::uint64_t percent = text != nullptr ? std::strtoull(text, nullptr, 10) : 100;
  return std::max(least, full / 100 * percent + full % 100 * percent / 100);
}

}  // namespace assay::test
