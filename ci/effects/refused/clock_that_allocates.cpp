// refused: must not allocate or deallocate memory
// A clock of the user's: what it overrides promises for it.
#include "assay/assay.hpp"

struct Allocating final : assay::Clock {
  assay::Instant now() noexcept override { return *time = *new assay::Instant(); }
  bool skip_to(assay::Instant) noexcept override { return false; }
  bool is_virtual() const noexcept override { return true; }
  assay::Instant* time = nullptr;
};
