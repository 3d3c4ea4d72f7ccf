// Purpose: the size classes of coroutine frames, and how much of each is kept: arithmetic, no memory.
// Thread rules: none.
// Invariants:
//  (1) Class c holds frames of up to bytes_of(c) bytes, and class_of() gives the smallest that does; `large` holds all others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/base/check.hpp"

#ifndef ASSAY_FRAME_POOL_PASS_THROUGH
#define ASSAY_FRAME_POOL_PASS_THROUGH 0
#endif

namespace assay::audited {

inline constexpr std::size_t frame_class_bytes = 32;
inline constexpr std::size_t frame_class_count = 64;

struct FrameClasses {
  static constexpr std::uint32_t large = frame_class_count;  // or passed through
  static constexpr bool pass_through = ASSAY_FRAME_POOL_PASS_THROUGH != 0;
  // Level 3 keeps a short queue per class, and hands out a block when that many are behind it.
  static constexpr std::uint32_t quarantine = ASSAY_HARDENING_LEVEL >= 3 ? 16 : 0;
  static constexpr std::size_t cache_bytes_per_class = std::size_t{64} << 20;

  static constexpr std::uint32_t class_of(std::size_t size) noexcept {
    const std::size_t units = (size - 1) / frame_class_bytes;
    return pass_through || units >= large ? large : static_cast<std::uint32_t>(units);
  }
  static constexpr std::size_t bytes_of(std::uint32_t frame_class) noexcept {
    return (std::size_t{frame_class} + 1) * frame_class_bytes;
  }
  static constexpr std::size_t limit(std::uint32_t frame_class) noexcept {
    return quarantine != 0 ? std::size_t{2} * quarantine : cache_bytes_per_class / bytes_of(frame_class);
  }
};

// What this thread counted.
struct FramePoolStats {
  std::uint64_t taken = 0;      // blocks handed out
  std::uint64_t freed = 0;      // blocks given back
  std::uint64_t allocated = 0;  // of `taken`: those that came from operator new
};

}  // namespace assay::audited
