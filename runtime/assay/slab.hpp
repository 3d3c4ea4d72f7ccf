// Memory for tasks: slots in size classes, cut from chunks that stay until the slab goes. The owner thread only, but for the
// destructor.
//
// Rules:
//  (1) A slot's generation changes with each take and release, and never repeats: when it would wrap, the slot is retired.
//  (2) The free slots of a size form a chain; a slot that is live or retired is in none.
//  (3) When the slab is destroyed no slot is live, but for those abandoned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "assay/audited/slab_chunk.hpp"

namespace assay::detail {

using audited::SlabSlot;

struct SlabOptions {
  std::size_t slots = 0;          // made in advance: just as many
  std::size_t slot_bytes = 256;   // of which size
  bool growth = true;             // false: try_take() says full when these are taken
  unsigned generation_bits = 32;  // narrow only in tests
};

class Slab;

struct SlabClass {
  const Slab* slab = nullptr;
  std::size_t slot_bytes = 0;  // 0: as large as asked for, each in a chunk of its own
  SlabSlot* first_free = nullptr;
  SlabSlot* last_free = nullptr;
};

class Slab {
 public:
  static constexpr std::size_t slot_alignment = SlabSlot::alignment;

  // Throws std::bad_alloc.
  explicit Slab(const SlabOptions& options);
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  struct Taken {
    std::byte* slot = nullptr;
    std::uint32_t generation = 0;
    SlabSlot* record = nullptr;
  };

  // A slot of at least `size` bytes, aligned to slot_alignment, contents undefined; null when full and growth is off.
  // Throws std::bad_alloc. O(1) but for growth, and for objects above 4 KiB: O(free slots of these).
  Taken try_take(std::size_t size);

  // Makes room for `count` objects of `size` bytes, also when growth is off. Throws std::bad_alloc. O(free slots).
  void reserve(std::size_t count, std::size_t size);

  void release(std::byte* slot) noexcept;

  // The slot stays as it is until the slab goes, and no longer counts as live.
  void abandon(std::byte* slot) noexcept;

  // A slot's tag: changes each time the slot is taken or released.
  static std::uint32_t generation(const std::byte* slot) noexcept { return SlabSlot::of(slot).generation(); }

  std::size_t live() const noexcept { return live_; }
  std::size_t slots() const noexcept { return slots_; }
  std::size_t retired() const noexcept { return retired_; }

  // Calls visit(slot) for each live slot. `visit` may take and release slots: one taken meanwhile may be missed.
  template <class Visit>
  void for_each_live(Visit&& visit) const {
    for_each([&](const SlabSlot& slot) { visit(slot.bytes()); });
  }
  // The same with the slot's record.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t at = 0; at < chunks_.size(); ++at) {
      for (SlabSlot& slot : chunks_.at(at)->slots()) {
        if (slot.is_live()) visit(slot);
      }
    }
  }

  // Aborts unless the rules hold; returns the number of live slots. O(slots).
  std::size_t check_deep() const noexcept;

 private:
  static constexpr std::size_t class_count = 13;

  static std::size_t class_of(std::size_t size) noexcept;
  SlabSlot* take_free(std::size_t size_class, std::size_t size) noexcept;
  void make_free(SlabSlot& slot) noexcept;
  void grow(std::size_t size_class, std::size_t size, std::size_t most);

  std::vector<std::unique_ptr<audited::SlabChunk>> chunks_;
  std::array<SlabClass, class_count + 1> classes_{};  // the last: what is too large for the others
  std::size_t live_ = 0;
  std::size_t slots_ = 0;
  std::size_t retired_ = 0;
  std::size_t abandoned_ = 0;
  const std::uint32_t last_generation_;
  const bool growth_;
};

}  // namespace assay::detail
