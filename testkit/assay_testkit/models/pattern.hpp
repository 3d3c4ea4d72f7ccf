// A pattern in memory under test, of which each byte that is looked at must still be there. In a large block these are both
// ends, where a neighbour or a wrong size would show, and some between.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace assay::testkit {

inline constexpr std::size_t pattern_end_bytes = 128;
inline constexpr std::size_t pattern_stride = 256;

inline void write_pattern(std::span<std::byte> block, std::byte pattern) {
  const std::size_t end_bytes = std::min(block.size(), pattern_end_bytes);
  std::memset(block.data(), static_cast<int>(pattern), end_bytes);
  std::memset(block.last(end_bytes).data(), static_cast<int>(pattern), end_bytes);
  for (std::size_t at = end_bytes; at < block.size() - end_bytes; at += pattern_stride) block[at] = pattern;
}

inline bool has_pattern(std::span<const std::byte> block, std::byte pattern) {
  // All bytes are equal if each equals the one before it.
  const auto is_all = [&](std::span<const std::byte> bytes) {
    return bytes.front() == pattern && std::memcmp(bytes.data(), bytes.subspan(1).data(), bytes.size() - 1) == 0;
  };
  const std::size_t end_bytes = std::min(block.size(), pattern_end_bytes);
  bool is_whole = is_all(block.first(end_bytes)) && is_all(block.last(end_bytes));
  for (std::size_t at = end_bytes; at < block.size() - end_bytes; at += pattern_stride) {
    if (block[at] != pattern) is_whole = false;
  }
  return is_whole;
}

}  // namespace assay::testkit
