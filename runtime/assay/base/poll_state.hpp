// Purpose: what is counted in the course of one poll: coroutines that are polled inside each other, and wakes of the polled task by
//   itself.
// Thread rules: those of the Context that it is a part of.
// Invariants:
//  (1) depth() never passes max_depth.
#pragma once

#include <cstdint>

#include "assay/base/check.hpp"

namespace assay::audited {

class PollState {
 public:
  static constexpr std::uint32_t max_depth = 500;

  PollState() noexcept = default;
  PollState(const PollState&) = delete;
  PollState& operator=(const PollState&) = delete;

  std::uint32_t wakes() const noexcept { return wakes_; }
  std::uint32_t depth() const noexcept { return depth_; }

  // Entered by each coroutine that is polled from outside, left when that poll returns.
  void enter() noexcept {
    ASSAY_CHECK(depth_ < max_depth,
                "join, select or poll nested more than 500 coroutines in each other; co_await them directly or spawn them");
    ++depth_;
  }
  void leave() noexcept {
    ASSAY_ASSERT(depth_ > 0, "internal: Context::leave without enter");
    --depth_;
  }

 protected:
  ~PollState() = default;
  void count_wake() noexcept { ++wakes_; }

 private:
  std::uint32_t depth_ = 0;
  std::uint32_t wakes_ = 0;
};

}  // namespace assay::audited
