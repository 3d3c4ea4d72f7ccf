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
#include "assay/base/check.hpp"
#include "assay/audited/effects.hpp"

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
  Taken try_take(std::size_t size) {
    ASSAY_CHECK(size > 0, "internal: a slot of no size");
    SlabSlot* const slot = try_take(size, class_of(size));
    return slot != nullptr ? Taken{slot->bytes(), slot->generation(), slot} : Taken{};
  }
  // The same, for a size of which the class is known.
  ASSAY_RUNS_OTHERS SlabSlot* try_take(std::size_t size, std::size_t size_class) ASSAY_NONBLOCKING {
    SlabClass& home = ASSAY_UNCHECKED(classes_.at(size_class));
    SlabSlot* slot = home.first_free;
    if (slot != nullptr && size_class < class_count) {
      unlink_first(home, *slot);
    } else {
      slot = ASSAY_UNCHECKED(find_slot(size, size_class));
      if (slot == nullptr) return nullptr;
    }
    slot->take();
    ++live_;
    return slot;
  }

  // The class of objects of this size: the first whose slots are large enough.
  static constexpr std::size_t class_of(std::size_t size) noexcept {
    std::size_t size_class = 0;
    for (const std::size_t bytes : class_bytes) size_class += bytes < size ? 1 : 0;  // they ascend
    return size_class;
  }

  // Makes room for `count` objects of `size` bytes, also when growth is off. Throws std::bad_alloc. O(free slots).
  void reserve(std::size_t count, std::size_t size);

  void release(std::byte* bytes) noexcept { release(SlabSlot::of(bytes)); }
  void release(SlabSlot& slot) noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(slot.size_class().slab == this, "internal: a slot was released to another slab");
    const bool is_last = slot.generation() == last_generation_;
    slot.release(is_last ? 0 : slot.generation() + 1);
    --live_;
    if (is_last) {
      ++retired_;  // the next tag would repeat an old one
    } else {
      make_free(slot);
    }
  }

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
  static constexpr std::array<std::size_t, 13> class_bytes{128, 192,  256,  320,  384,  512, 640,
                                                           768, 1024, 1536, 2048, 3072, 4096};
  static constexpr std::size_t class_count = class_bytes.size();
  static constexpr bool quarantine = ASSAY_HARDENING_LEVEL >= 3;  // the slot that was free for longest is handed out first

  void make_free(SlabSlot& slot) noexcept {
    ASSAY_ASSERT(!slot.is_live() && slot.next_free == nullptr, "internal: a live slot was put among the free");
    SlabClass& home = slot.size_class();
    if (quarantine && home.first_free != nullptr) {
      home.last_free = home.last_free->next_free = &slot;
    } else {
      slot.next_free = std::exchange(home.first_free, &slot);
      if (slot.next_free == nullptr) home.last_free = &slot;
    }
  }
  static void unlink_first(SlabClass& home, SlabSlot& first) noexcept {
    home.first_free = std::exchange(first.next_free, nullptr);
    if (home.first_free == nullptr) home.last_free = nullptr;
  }
  SlabSlot* take_free(std::size_t size_class, std::size_t size) noexcept;
  SlabSlot* find_slot(std::size_t size, std::size_t size_class);
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
