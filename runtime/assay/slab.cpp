#include "assay/slab.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

#include "assay/base/check.hpp"

namespace assay::detail {

Slab::Slab(const SlabOptions& options)
    : last_generation_(options.generation_bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << options.generation_bits) - 1),
      growth_(options.growth) {
  ASSAY_CHECK(options.generation_bits >= 2, "internal: a slab's generations need at least two bits");
  for (SlabClass& size_class : classes_) size_class.slab = this;
  for (std::size_t at = 0; at < class_count; ++at) classes_.at(at).slot_bytes = class_bytes.at(at);
  reserve(options.slots, options.slot_bytes);
}

Slab::~Slab() { ASSAY_CHECK(live_ == 0, "internal: an executor's memory went while tasks were alive in it"); }

// Makes one chunk, of at most `most` slots.
void Slab::grow(std::size_t size_class, std::size_t size, std::size_t most) {
  SlabClass& home = classes_.at(size_class);
  const bool is_large = home.slot_bytes == 0;
  chunks_.push_back(is_large ? audited::SlabChunk::make(size, 1, home) : audited::SlabChunk::make(home.slot_bytes, most, home));
  slots_ += chunks_.back()->slots().size();
  for (SlabSlot& slot : chunks_.back()->slots()) make_free(slot);
}

// Unlinks the first free slot of the class that has room for `size` bytes; null: there is none.
SlabSlot* Slab::take_free(std::size_t size_class, std::size_t size) noexcept {
  SlabClass& home = classes_.at(size_class);
  SlabSlot* previous = nullptr;
  for (SlabSlot* slot = home.first_free; slot != nullptr; previous = slot, slot = slot->next_free) {
    if (slot->size() < size) continue;  // only among the large
    (previous != nullptr ? previous->next_free : home.first_free) = std::exchange(slot->next_free, nullptr);
    if (home.last_free == slot) home.last_free = previous;
    return slot;
  }
  return nullptr;
}

// What try_take() does when the class has no free slot, or has slots of several sizes.
SlabSlot* Slab::find_slot(std::size_t size, std::size_t size_class) {
  SlabSlot* slot = take_free(size_class, size);
  if (slot == nullptr && growth_) {
    grow(size_class, size, std::numeric_limits<std::size_t>::max());
    slot = take_free(size_class, size);
  }
  // Without growth, a larger slot will do.
  for (std::size_t larger = size_class + 1; slot == nullptr && larger < classes_.size(); ++larger) {
    slot = take_free(larger, size);
  }
  return slot;
}

void Slab::reserve(std::size_t count, std::size_t size) {
  if (count == 0) return;
  size = std::max(size, std::size_t{1});
  const std::size_t size_class = class_of(size);
  std::size_t room = 0;
  for (const SlabSlot* slot = classes_.at(size_class).first_free; slot != nullptr; slot = slot->next_free) {
    if (slot->size() >= size) ++room;
  }
  // More than any address space holds is refused before the system is asked for the first part of it.
  const std::size_t each = std::max(size, classes_.at(size_class).slot_bytes);
  if (room < count && count - room > std::size_t{PTRDIFF_MAX} / each) throw std::bad_alloc();
  while (room < count) {
    const std::size_t before = slots_;
    grow(size_class, size, count - room);
    room += slots_ - before;
  }
}

void Slab::abandon(std::byte* bytes) noexcept {
  SlabSlot& slot = SlabSlot::of(bytes);
  ASSAY_CHECK(slot.size_class().slab == this, "internal: a slot was released to another slab");
  ASSAY_CHECK(slot.is_live(), "internal: a slot that is not live was abandoned");
  --live_;
  ++abandoned_;
}

std::size_t Slab::check_deep() const noexcept {
  std::size_t slots = 0;
  std::size_t live = 0;
  std::size_t free = 0;
  for (const auto& chunk : chunks_) slots += chunk->slots().size();
  for_each([&](const SlabSlot& slot) {
    ASSAY_CHECK(&SlabSlot::of(slot.bytes()) == &slot && slot.size_class().slab == this, "internal: a slab's chunk is broken");
    ++live;
  });
  for (const SlabClass& size_class : classes_) {
    for (const SlabSlot* slot = size_class.first_free; slot != nullptr; slot = slot->next_free) {
      ASSAY_CHECK(!slot->is_live() && ++free <= slots, "internal: a slab's free chain is broken");
      ASSAY_CHECK(&slot->size_class() == &size_class, "internal: a slab's free chain holds a slot of another size");
      ASSAY_CHECK(slot->next_free != nullptr || slot == size_class.last_free, "internal: a slab's free chain has a wrong end");
    }
  }
  ASSAY_CHECK(slots == slots_ && live == live_ + abandoned_ && live + free + retired_ == slots,
              "internal: a slab's totals are wrong");
  return live_;
}

}  // namespace assay::detail
