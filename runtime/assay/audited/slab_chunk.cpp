// Purpose: chunks of slots. See slab_chunk.hpp.
// Thread rules: see slab_chunk.hpp.
// Invariants:
//  (1) Behind a SlabChunk, in its own allocation, lie slots_.size() slots of slot_bytes_ each.
#include "assay/audited/slab_chunk.hpp"

#include <algorithm>
#include <new>

#include "assay/audited/poison.hpp"

namespace assay::audited {

std::unique_ptr<SlabChunk> SlabChunk::make(std::size_t slot_bytes, std::size_t most, detail::SlabClass& size_class) {
  ASSAY_CHECK(slot_bytes > 0 && most > 0, "internal: a slot of no size");
  if (slot_bytes > std::size_t{PTRDIFF_MAX} - alignment) throw std::bad_alloc();
  const std::size_t rounded = (slot_bytes + SlabSlot::alignment - 1) / SlabSlot::alignment * SlabSlot::alignment;
  const std::size_t capacity = std::clamp((alignment - sizeof(SlabChunk)) / rounded, std::size_t{1}, most);
  std::vector<SlabSlot> slots(capacity);
  // SAFETY(M3): raw memory for the chunk and its slots, which does not overflow: one slot is below PTRDIFF_MAX - 32 KiB, and
  // several fit into 32 KiB. The constructor does not throw; unique_ptr frees it.
  return std::unique_ptr<SlabChunk>(::new (::operator new(sizeof(SlabChunk) + capacity * rounded, std::align_val_t{alignment}))
                                        SlabChunk(rounded, std::move(slots), size_class));
}

SlabChunk::SlabChunk(std::size_t slot_bytes, std::vector<SlabSlot> slots, detail::SlabClass& size_class) noexcept
    : slot_bytes_(slot_bytes),
      reciprocal_((std::uint64_t{1} << reciprocal_bits) / slot_bytes + 1),
      size_class_(size_class),
      slots_(std::move(slots)) {
  // SAFETY(M4): behind the chunk lies room for all of its slots (make).
  auto* place = reinterpret_cast<std::byte*>(this + 1);
  // SAFETY(M1, M4): each slot gets its own bytes of that room, which nobody has yet.
  for (SlabSlot& slot : slots_) {
    slot.bytes_ = std::exchange(place, place + slot_bytes_);
    poison(slot.bytes_, slot_bytes_);
  }
}

SlabChunk::~SlabChunk() {
  // SAFETY(M2): all bytes of all slots, before the system gets them back; no slot is in use any more.
  unpoison(slots_.front().bytes(), slots_.size() * slot_bytes_);
}

// SAFETY(M3): make() is the only way to a chunk, and its unique_ptr is what calls this: once, with that alignment.
void SlabChunk::operator delete(void* chunk) noexcept { ::operator delete(chunk, std::align_val_t{alignment}); }

}  // namespace assay::audited
