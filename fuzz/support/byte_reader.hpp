// Reads a fuzz input front to back; past its end everything is zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace assay::fuzz {

class ByteReader {
 public:
  ByteReader(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }

  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }

  // 0 <= result < bound, and 1 <= bound <= 256.
  std::uint8_t below(unsigned bound) { return static_cast<std::uint8_t>(byte() % bound); }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace assay::fuzz
