// Purpose: memory for tasks: slots in size classes, cut from chunks that stay until the slab goes.
//
// A chunk is 64 KiB, aligned to its size (a larger object has a chunk of its own), so a slot's chunk is found by masking
// its address:   [ Chunk | SlotMeta x capacity | padding | slot 0 | slot 1 | ... ]
//
// Thread rules: one thread, the owner; the destructor on any thread, after everybody else is done.
// Invariants:
//  (1) SlotMeta::generation is odd while the slot is live, even while it is free, and never repeats: when it would wrap,
//      the slot is retired instead of reused.
//  (2) The free slots of a size class form a chain through SlotMeta::next_free, beside the slots, whose bytes are poisoned.
//  (3) When the slab is destroyed no slot is live, but for those abandoned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "assay/base/check.hpp"

namespace assay::audited {

struct SlabOptions {
  std::size_t slots = 0;          // made in advance
  std::size_t slot_bytes = 256;   // of which size
  bool growth = true;             // false: try_take() says full when these are taken
  unsigned generation_bits = 32;  // narrow only in tests
};

class Slab {
 public:
  static constexpr std::size_t slot_alignment = 64;
  static constexpr std::size_t class_count = 13;

  // Throws std::bad_alloc.
  explicit Slab(const SlabOptions& options);
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  struct Taken {
    std::byte* slot = nullptr;
    std::uint32_t generation = 0;
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
  static std::uint32_t generation(const std::byte* slot) noexcept { return meta_of(slot).generation; }

  std::size_t live() const noexcept { return live_; }
  std::size_t slots() const noexcept { return slots_; }
  std::size_t retired() const noexcept { return retired_; }

  // Calls visit(slot) for each live slot. `visit` may take and release slots: one taken meanwhile may be missed.
  template <class Visit>
  void for_each_live(Visit&& visit) const {
    for (Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
      for (std::uint32_t index = 0; index < chunk->capacity; ++index) {
        if (meta(*chunk, index).generation % 2 == 1) visit(slot_at(*chunk, index));
      }
    }
  }

  // Aborts unless the invariants hold; returns the number of live slots. O(slots).
  std::size_t check_deep() const noexcept;

 private:
  struct SlotMeta {
    std::uint32_t generation = 0;
    std::uint32_t index = 0;
    SlotMeta* next_free = nullptr;
  };
  struct Chunk {
    std::uint64_t magic;
    Slab* slab;
    Chunk* next;
    std::size_t stride;
    std::size_t bytes;
    std::size_t first_slot;  // offset from the chunk
    std::uint32_t size_class;
    std::uint32_t capacity;
  };
  struct FreeChain {
    SlotMeta* first = nullptr;
    SlotMeta* last = nullptr;
  };

  static std::uint32_t class_of(std::size_t size) noexcept;
  static Chunk& chunk_of(const void* inside) noexcept;
  static SlotMeta& meta(const Chunk& chunk, std::size_t index) noexcept;
  static std::byte* slot_at(const Chunk& chunk, std::size_t index) noexcept;
  static SlotMeta& meta_of(const std::byte* slot) noexcept;

  void grow(std::uint32_t size_class, std::size_t size);
  void make_free(Chunk& chunk, SlotMeta& slot) noexcept;
  SlotMeta* take_free(std::uint32_t size_class, std::size_t size) noexcept;

  Chunk* chunks_ = nullptr;
  Chunk* last_chunk_ = nullptr;
  std::array<FreeChain, class_count + 1> free_{};
  std::size_t live_ = 0;
  std::size_t slots_ = 0;
  std::size_t retired_ = 0;
  std::size_t abandoned_ = 0;
  const std::uint32_t last_generation_;
  const bool growth_;
};

}  // namespace assay::audited
