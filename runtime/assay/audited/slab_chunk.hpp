// Purpose: memory for tasks: one allocation cut into slots of one size, with a record of each slot beside it.
//
//     [ SlabChunk | slot 0 | slot 1 | ... ]      SlabSlot 0, SlabSlot 1, ...
//
// A chunk is aligned to 32 KiB and its slots begin in its first 32 KiB, so that a slot's chunk is found by masking its address.
// (Twice as much, and glibc would map each chunk by itself, with as much again before it to align it.)
// Which free slot is taken, and when a chunk is made, is the safe layer's (assay/slab.hpp).
//
// Thread rules: one thread, the owner; the destructor on any thread, after everybody else is done.
// Invariants:
//  (1) A slot is live while its generation is odd, free while it is even: take() makes it live, release() free. Both check.
//  (2) The bytes of a free slot are poisoned.
//  (3) A slot that is occupied holds a task, at its start: it is live, and stays so until it is vacated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "assay/audited/poison.hpp"
#include "assay/base/check.hpp"

namespace assay::detail {
struct SlabClass;  // the safe layer's: the slots of one size
}

namespace assay::audited {

class SlabChunk;

class SlabSlot {
 public:
  static constexpr std::size_t alignment = 64;

  // Of no chunk: only SlabChunk makes real ones.
  SlabSlot() noexcept = default;
  SlabSlot(const SlabSlot&) = delete;
  SlabSlot& operator=(const SlabSlot&) = delete;

  // The slot that begins at `bytes`, which are in a chunk. Aborts when none does.
  static SlabSlot& of(const std::byte* bytes) noexcept;

  std::byte* bytes() const noexcept {
    ASSAY_CHECK(bytes_ != nullptr, "internal: a slot of no slab was used");
    return bytes_;
  }
  std::size_t size() const noexcept;
  detail::SlabClass& size_class() const noexcept;
  std::uint32_t generation() const noexcept { return generation_; }
  bool is_live() const noexcept { return generation_ % 2 == 1; }
  bool is_occupied() const noexcept { return is_occupied_; }

  // From here on the bytes may be used; their contents are undefined.
  void take() noexcept {
    ASSAY_CHECK(!is_live(), "internal: a slab handed out a live slot");
    // SAFETY(M2): the slot's own bytes, which nobody has.
    unpoison(bytes(), size());
    ++generation_;
  }
  // From here on they may not. `next` is the generation from which the slot goes on.
  void release(std::uint32_t next) noexcept {
    ASSAY_CHECK(is_live() && next % 2 == 0, "internal: a task's memory was released twice");
    ASSAY_CHECK(!is_occupied_, "internal: a task's memory was released with the task in it");
    // SAFETY(M1): the slot's own bytes, whose holder gives them back.
    poison(bytes(), size());
    generation_ = next;
  }

  // A task begins its life in the slot, or has ended it.
  void occupy() noexcept {
    ASSAY_CHECK(is_live() && !is_occupied_, "internal: two tasks were made in one slot");
    is_occupied_ = true;
  }
  void vacate() noexcept {
    ASSAY_CHECK(is_occupied_, "internal: a task left a slot that has none");
    is_occupied_ = false;
  }

  SlabSlot* next_free = nullptr;  // for the safe layer's chain of free slots

 private:
  friend class SlabChunk;

  std::byte* bytes_ = nullptr;
  std::uint32_t generation_ = 0;
  bool is_occupied_ = false;
};

class alignas(SlabSlot::alignment) SlabChunk {
 public:
  // Free slots of at least `slot_bytes`: as many as fit into 32 KiB, but at least one and at most `most`. Throws std::bad_alloc.
  static std::unique_ptr<SlabChunk> make(std::size_t slot_bytes, std::size_t most, detail::SlabClass& size_class);
  ~SlabChunk();
  SlabChunk(const SlabChunk&) = delete;
  SlabChunk& operator=(const SlabChunk&) = delete;

  // SAFETY(M3): gives back what make() allocated, with the same alignment.
  static void operator delete(void* chunk) noexcept;

  std::span<SlabSlot> slots() noexcept { return slots_; }

 private:
  friend class SlabSlot;
  static constexpr std::size_t alignment = std::size_t{32} << 10;
  static constexpr std::uint64_t magic = 0x61737361796d656d;
  static constexpr unsigned reciprocal_bits = 32;

  SlabChunk(std::size_t slot_bytes, std::vector<SlabSlot> slots, detail::SlabClass& size_class) noexcept;

  // The chunk in which the slot at `bytes` lies.
  // SAFETY(M5): a chunk begins at a multiple of its alignment, less than that before each of its slots.
  static SlabChunk& around(const std::byte* bytes) noexcept {
    return *reinterpret_cast<SlabChunk*>(reinterpret_cast<std::uintptr_t>(bytes) & ~(alignment - 1));
  }

  const std::uint64_t magic_ = magic;
  const std::size_t slot_bytes_;
  const std::uint64_t reciprocal_;  // 2^reciprocal_bits / slot_bytes_, rounded up
  detail::SlabClass& size_class_;
  std::vector<SlabSlot> slots_;
};

inline std::size_t SlabSlot::size() const noexcept { return SlabChunk::around(bytes()).slot_bytes_; }
inline detail::SlabClass& SlabSlot::size_class() const noexcept { return SlabChunk::around(bytes()).size_class_; }

// SAFETY(M5): the magic confirms that there is a chunk, and the slot's own address that `bytes` is the beginning of a slot.
inline SlabSlot& SlabSlot::of(const std::byte* bytes) noexcept {
  SlabChunk* const chunk = &SlabChunk::around(bytes);
  ASSAY_CHECK(chunk->magic_ == SlabChunk::magic, "internal: a pointer that is in no slab was given to one");
  // Rounded up, the reciprocal is right for every multiple of slot_bytes_ below the alignment; what is none is found out.
  const std::uint64_t offset = reinterpret_cast<std::uintptr_t>(bytes) - reinterpret_cast<std::uintptr_t>(chunk + 1);
  const std::size_t index = (offset * chunk->reciprocal_) >> SlabChunk::reciprocal_bits;
  ASSAY_CHECK(index < chunk->slots_.size(), "internal: a slab was given a pointer into a slot");
  SlabSlot& slot = chunk->slots_.at(index);
  ASSAY_CHECK(slot.bytes_ == bytes, "internal: a slab was given a pointer into a slot");
  return slot;
}

}  // namespace assay::audited
