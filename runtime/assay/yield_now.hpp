// yield_now(): lets all other ready tasks run first. In a header of its own because coroutines know it: it is the one future that
// is Ready at the next poll in any case, and need not be asked.
#pragma once

#include <utility>

#include "assay/audited/context.hpp"
#include "assay/poll.hpp"

namespace assay {

// Ready at any poll after the first.
class [[nodiscard]] YieldNow {
 public:
  using Output = void;
  YieldNow() noexcept {}
  ASSAY_RUNS_OTHERS Poll<void> poll(Context& context) ASSAY_NONBLOCKING {
    if (std::exchange(has_begun_, true)) return Ready();
    context.wake_again();
    return Pending;
  }
  bool has_begun() const noexcept { return has_begun_; }

 private:
  bool has_begun_ = false;
};

inline YieldNow yield_now() noexcept { return YieldNow(); }

}  // namespace assay
