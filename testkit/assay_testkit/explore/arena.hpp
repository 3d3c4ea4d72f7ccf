// The memory of a model: what `new` gives within an execution, when the program includes explore/heap.hpp. It is not
// used again before the execution ends; so use after free is seen for what it is, and what is given up with an
// execution costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "assay/base/tools.hpp"

#if defined(ASSAY_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(place, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(place, size) static_cast<void>(0)
#endif

namespace assay::testkit::explorer {

class Arena {
 public:
  struct Block {
    char* place = nullptr;
    std::size_t size = 0;
    bool is_free = false;
  };

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { reset(); }

  void reset() {
    for ([[maybe_unused]] Chunk& chunk : chunks_) ASAN_UNPOISON_MEMORY_REGION(chunk.memory.get(), chunk.size);
    blocks_.clear();
    in_use_ = 0;
    at_ = 0;
  }

  void* take(std::size_t size, std::size_t alignment = usual_alignment) {
    if (alignment < usual_alignment) alignment = usual_alignment;
    const std::size_t most = header + alignment + size;
    while (in_use_ < chunks_.size() && chunks_[in_use_].size - at_ < most) {
      ++in_use_;
      at_ = 0;
    }
    if (in_use_ == chunks_.size()) {
      const std::size_t bytes = (most > usual ? most : usual) / usual_alignment * usual_alignment + usual_alignment;
      chunks_.push_back(
          {std::unique_ptr<char[], Free>(static_cast<char*>(std::aligned_alloc(usual_alignment, bytes))), bytes});
      if (chunks_.back().memory == nullptr) throw std::bad_alloc();
    }
    char* const begin = chunks_[in_use_].memory.get();
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(begin) + at_ + header;
    char* const place = begin + at_ + header + ((alignment - first % alignment) % alignment);
    at_ = static_cast<std::size_t>(place - begin) + (size + usual_alignment - 1) / usual_alignment * usual_alignment;
    if (at_ > chunks_[in_use_].size) at_ = chunks_[in_use_].size;
    *reinterpret_cast<std::size_t*>(place - header) = blocks_.size();
    blocks_.push_back({place, size, false});
    return place;
  }

  bool has(const void* place) const {
    const auto at = reinterpret_cast<std::uintptr_t>(place);
    for (const Chunk& chunk : chunks_) {
      const auto begin = reinterpret_cast<std::uintptr_t>(chunk.memory.get());
      if (at > begin && at < begin + chunk.size) return true;
    }
    return false;
  }

  // False: it is free already, or no block begins there.
  bool give_back(void* place) {
    const std::size_t number = *reinterpret_cast<std::size_t*>(static_cast<char*>(place) - header);
    if (number >= blocks_.size() || blocks_[number].place != place || blocks_[number].is_free) return false;
    blocks_[number].is_free = true;
    ASAN_POISON_MEMORY_REGION(place, blocks_[number].size);
    return true;
  }

  std::size_t leaks() const {
    std::size_t count = 0;
    for (const Block& block : blocks_) count += block.is_free ? 0 : 1;
    return count;
  }

 private:
  static constexpr std::size_t usual_alignment = 64;
  static constexpr std::size_t header = 64;
  static constexpr std::size_t usual = std::size_t{64} << 10;
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  struct Chunk {
    std::unique_ptr<char[], Free> memory;
    std::size_t size = 0;
  };

  std::vector<Chunk> chunks_;
  std::size_t in_use_ = 0;  // chunk
  std::size_t at_ = 0;      // and place in it
  std::vector<Block> blocks_;
};

}  // namespace assay::testkit::explorer
