#include "assay/slab.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

#include "assay/base/check.hpp"

namespace assay::detail {

namespace {

constexpr std::array<std::size_t, 13> class_bytes{128, 192, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048, 3072, 4096};
constexpr bool quarantine = ASSAY_HARDENING_LEVEL >= 3;  // the slot that was free for longest is handed out first

}  // namespace

Slab::Slab(const SlabOptions& options)
    : last_generation_(options.generation_bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << options.generation_bits) - 1),
      growth_(options.growth) {
  static_assert(class_count == class_bytes.size());
  ASSAY_CHECK(options.generation_bits >= 2, "internal: a slab's generations need at least two bits");
  for (SlabClass& size_class : classes_) size_class.slab = this;
  for (std::size_t at = 0; at < class_count; ++at) classes_.at(at).slot_bytes = class_bytes.at(at);
  reserve(options.slots, options.slot_bytes);
}

Slab::~Slab() { ASSAY_CHECK(live_ == 0, "internal: an executor's memory went while tasks were alive in it"); }

std::size_t Slab::class_of(std::size_t size) noexcept {
  ASSAY_CHECK(size > 0, "internal: a slot of no size");
  const auto at = std::lower_bound(class_bytes.begin(), class_bytes.end(), size);
  return static_cast<std::size_t>(std::distance(class_bytes.begin(), at));
}

// Makes one chunk, of at most `most` slots.
void Slab::grow(std::size_t size_class, std::size_t size, std::size_t most) {
  SlabClass& home = classes_.at(size_class);
  const bool is_large = home.slot_bytes == 0;
  chunks_.push_back(is_large ? audited::SlabChunk::make(size, 1, home) : audited::SlabChunk::make(home.slot_bytes, most, home));
  slots_ += chunks_.back()->slots().size();
  for (SlabSlot& slot : chunks_.back()->slots()) make_free(slot);
}

void Slab::make_free(SlabSlot& slot) noexcept {
  ASSAY_ASSERT(!slot.is_live() && slot.next_free == nullptr, "internal: a live slot was put among the free");
  SlabClass& home = slot.size_class();
  if (quarantine && home.first_free != nullptr) {
    home.last_free = home.last_free->next_free = &slot;
  } else {
    slot.next_free = std::exchange(home.first_free, &slot);
    if (slot.next_free == nullptr) home.last_free = &slot;
  }
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

Slab::Taken Slab::try_take(std::size_t size) {
  const std::size_t size_class = class_of(size);
  SlabSlot* slot = take_free(size_class, size);
  if (slot == nullptr && growth_) {
    grow(size_class, size, std::numeric_limits<std::size_t>::max());
    slot = take_free(size_class, size);
  }
  // Without growth, a larger slot will do.
  for (std::size_t larger = size_class + 1; slot == nullptr && larger < classes_.size(); ++larger) {
    slot = take_free(larger, size);
  }
  if (slot == nullptr) return Taken{};
  slot->take();
  ++live_;
  return Taken{slot->bytes(), slot->generation(), slot};
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

void Slab::release(std::byte* bytes) noexcept {
  SlabSlot& slot = SlabSlot::of(bytes);
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
