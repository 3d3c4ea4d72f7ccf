// Stands in for runtime/assay/audited/current.hpp (it comes first on the include path) where threads are the explorer's: what that
// header keeps for each thread of the system, this one keeps for each thread of the model.
#pragma once

#include <array>
#include <cstdint>

#include "assay/audited/effects.hpp"
#include "assay/base/frame_classes.hpp"

namespace assay::audited {

struct FrameBlock;

struct FrameChain {
  FrameBlock* first = nullptr;
  std::uint32_t count = 0;
};

struct FrameCache {
  enum class State : std::uint8_t { untouched, open, closed };
  std::array<FrameChain, frame_class_count> chains{};
  FramePoolStats stats{};
  std::int64_t owned = 0;
  State state = State::closed;  // frames go to the model's memory and back
};

struct Current {
  std::uint64_t thread_id = 0;
  unsigned fresh_nesting = 0;
  FrameCache frames;
};

Current& this_thread() noexcept ASSAY_NONBLOCKING;

inline std::uint64_t current_thread_id() noexcept ASSAY_NONBLOCKING { return this_thread().thread_id; }

}  // namespace assay::audited
