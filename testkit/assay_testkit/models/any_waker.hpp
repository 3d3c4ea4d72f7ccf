// A waker of either kind, or none.
#pragma once

#include <optional>
#include <utility>

#include "assay/waker.hpp"

namespace assay::testkit {

// Not a variant, which begins objects of both types in the same bytes and does not tell TypeSanitizer.
struct AnyWaker {
  std::optional<LocalWaker> local;
  std::optional<Waker> remote;

  void wake_by_ref() const {
    if (local) local->wake_by_ref();
    if (remote) remote->wake_by_ref();
  }
  // It is empty afterwards.
  void wake() {
    if (local) std::move(*std::exchange(local, std::nullopt)).wake();
    if (remote) std::move(*std::exchange(remote, std::nullopt)).wake();
  }
};

}  // namespace assay::testkit
