// Purpose: the slab. See slab.hpp.
// Thread rules: the owner.
// Invariants:
//  (1) Class class_count is "large": chunks of one slot each, found by first fit.
//  (2) Every pointer into a chunk is made by meta() or slot_at(), from an index below the chunk's capacity.
#include "assay/audited/slab.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "assay/audited/poison.hpp"

namespace assay::audited {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{64} << 10;
constexpr std::uint64_t chunk_magic = 0x61737361796d656d;
constexpr std::array<std::size_t, Slab::class_count> class_sizes{128, 192, 256,  320,  384,  512, 640,
                                                                 768, 1024, 1536, 2048, 3072, 4096};
constexpr bool quarantine = ASSAY_HARDENING_LEVEL >= 3;  // the slot that was free for longest is handed out first

constexpr std::size_t round_up(std::size_t size, std::size_t unit) noexcept { return (size + unit - 1) / unit * unit; }

}  // namespace

Slab::Slab(const SlabOptions& options)
    : last_generation_(options.generation_bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << options.generation_bits) - 1),
      growth_(options.growth) {
  ASSAY_CHECK(options.generation_bits >= 2, "internal: a slab's generations need at least two bits");
  reserve(options.slots, options.slot_bytes);
}

Slab::~Slab() {
  ASSAY_CHECK(live_ == 0, "internal: an executor's memory went while tasks were alive in it");
  while (chunks_ != nullptr) {
    Chunk* const chunk = chunks_;
    chunks_ = chunk->next;
    const std::size_t bytes = chunk->bytes;
    unpoison(chunk, bytes);
    // SAFETY(M6): the chunk was made by grow() with these bytes and this alignment; no slot of it is in use.
    ::operator delete(static_cast<void*>(chunk), bytes, std::align_val_t{chunk_bytes});
  }
}

std::uint32_t Slab::class_of(std::size_t size) noexcept {
  ASSAY_ASSERT(size > 0, "internal: a slot of no size");
  const auto at = std::lower_bound(class_sizes.begin(), class_sizes.end(), size);
  return static_cast<std::uint32_t>(std::distance(class_sizes.begin(), at));
}

// SAFETY(M8): chunks are aligned to chunk_bytes, and metas and slots begin in the first chunk_bytes of their chunk; the magic
// confirms it, and meta_of() that the slot is one.
Slab::Chunk& Slab::chunk_of(const void* inside) noexcept {
  auto* const chunk = reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(inside) & ~(chunk_bytes - 1));
  ASSAY_CHECK(chunk->magic == chunk_magic, "internal: a pointer that is in no slab was given to one");
  return *chunk;
}

// SAFETY(M7): grow() constructed `capacity` SlotMetas right behind the Chunk; the index is below that (checked).
Slab::SlotMeta& Slab::meta(const Chunk& chunk, std::size_t index) noexcept {
  ASSAY_CHECK(index < chunk.capacity, "internal: a slab was asked for a slot beyond its end");
  return *(reinterpret_cast<SlotMeta*>(const_cast<Chunk*>(&chunk) + 1) + index);
}

// SAFETY(M7): first_slot + capacity * stride <= bytes (grow), so the slot is inside the chunk's allocation.
std::byte* Slab::slot_at(const Chunk& chunk, std::size_t index) noexcept {
  ASSAY_ASSERT(index < chunk.capacity, "internal: a slab was asked for a slot beyond its end");
  return reinterpret_cast<std::byte*>(const_cast<Chunk*>(&chunk)) + chunk.first_slot + index * chunk.stride;
}

// SAFETY(M8): both addresses are inside one chunk (chunk_of); slot_at() confirms the result.
Slab::SlotMeta& Slab::meta_of(const std::byte* slot) noexcept {
  const Chunk& chunk = chunk_of(slot);
  const auto offset = reinterpret_cast<std::uintptr_t>(slot) - reinterpret_cast<std::uintptr_t>(&chunk);
  const std::size_t index = (offset - chunk.first_slot) / chunk.stride;
  ASSAY_CHECK(index < chunk.capacity && slot_at(chunk, index) == slot, "internal: a slab was given a pointer into a slot");
  return meta(chunk, index);
}

void Slab::grow(std::uint32_t size_class, std::size_t size) {
  const bool large = size_class == class_count;
  const std::size_t stride = large ? round_up(size, slot_alignment) : class_sizes.at(size_class);
  const std::size_t capacity = large ? 1 : (chunk_bytes - sizeof(Chunk) - slot_alignment) / (stride + sizeof(SlotMeta));
  const std::size_t first_slot = round_up(sizeof(Chunk) + capacity * sizeof(SlotMeta), slot_alignment);
  const std::size_t bytes = large ? first_slot + stride : chunk_bytes;
  ASSAY_ASSERT(first_slot + capacity * stride <= bytes, "internal: a slab's chunk is too small for its slots");
  // SAFETY(M6): raw memory of `bytes`, freed with the same bytes and alignment by the destructor; the Chunk begins its life
  // at its start, and is trivially destructible.
  auto* const chunk = ::new (::operator new(bytes, std::align_val_t{chunk_bytes}))
      Chunk{chunk_magic, this, nullptr, stride, bytes, first_slot, size_class, static_cast<std::uint32_t>(capacity)};
  // SAFETY(M7): the metas begin their lives right behind the header, before first_slot.
  std::uninitialized_default_construct_n(reinterpret_cast<SlotMeta*>(chunk + 1), capacity);
  (last_chunk_ != nullptr ? last_chunk_->next : chunks_) = chunk;
  last_chunk_ = chunk;
  slots_ += capacity;
  for (std::uint32_t index = 0; index < capacity; ++index) {
    SlotMeta& slot = meta(*chunk, index);
    slot.index = index;
    make_free(*chunk, slot);
  }
}

void Slab::make_free(Chunk& chunk, SlotMeta& slot) noexcept {
  ASSAY_ASSERT(slot.generation % 2 == 0 && slot.next_free == nullptr, "internal: a live slot was put among the free");
  poison(slot_at(chunk, slot.index), chunk.stride);
  FreeChain& chain = free_.at(chunk.size_class);
  if (quarantine && chain.first != nullptr) {
    chain.last = chain.last->next_free = &slot;
  } else {
    slot.next_free = chain.first;
    chain.first = &slot;
    if (slot.next_free == nullptr) chain.last = &slot;
  }
}

// Unlinks a free slot of the class that has room for `size` bytes; with growth off of a larger class, if need be.
Slab::SlotMeta* Slab::take_free(std::uint32_t size_class, std::size_t size) noexcept {
  FreeChain& chain = free_.at(size_class);
  SlotMeta* previous = nullptr;
  for (SlotMeta* slot = chain.first; slot != nullptr; previous = slot, slot = slot->next_free) {
    if (chunk_of(slot).stride < size) continue;  // only among the large
    (previous != nullptr ? previous->next_free : chain.first) = slot->next_free;
    if (chain.last == slot) chain.last = previous;
    slot->next_free = nullptr;
    return slot;
  }
  return growth_ || size_class == class_count ? nullptr : take_free(size_class + 1, size);
}

Slab::Taken Slab::try_take(std::size_t size) {
  const std::uint32_t size_class = class_of(size);
  SlotMeta* slot = take_free(size_class, size);
  if (slot == nullptr) {
    if (!growth_) return Taken{};
    grow(size_class, size);
    slot = take_free(size_class, size);
  }
  ASSAY_CHECK(slot != nullptr && slot->generation % 2 == 0, "internal: a slab handed out a live slot");
  const Chunk& chunk = chunk_of(slot);
  ++slot->generation;
  ++live_;
  std::byte* const bytes = slot_at(chunk, slot->index);
  unpoison(bytes, chunk.stride);
  return Taken{bytes, slot->generation};
}

void Slab::reserve(std::size_t count, std::size_t size) {
  if (count == 0) return;
  const std::uint32_t size_class = class_of(size);
  std::size_t room = 0;
  for (const SlotMeta* slot = free_.at(size_class).first; slot != nullptr; slot = slot->next_free) {
    if (chunk_of(slot).stride >= size) ++room;
  }
  while (room < count) {
    const std::size_t before = slots_;
    grow(size_class, size);
    room += slots_ - before;
  }
}

void Slab::release(std::byte* bytes) noexcept {
  Chunk& chunk = chunk_of(bytes);
  SlotMeta& slot = meta_of(bytes);
  ASSAY_CHECK(chunk.slab == this, "internal: a slot was released to another slab");
  ASSAY_CHECK(slot.generation % 2 == 1, "internal: a task's memory was released twice");
  --live_;
  if (slot.generation != last_generation_) {
    ++slot.generation;
    return make_free(chunk, slot);
  }
  slot.generation = 0;  // the next tag would repeat an old one: retired, in no chain
  ++retired_;
  poison(bytes, chunk.stride);
}

void Slab::abandon(std::byte* bytes) noexcept {
  ASSAY_CHECK(chunk_of(bytes).slab == this, "internal: a slot was released to another slab");
  ASSAY_CHECK(generation(bytes) % 2 == 1, "internal: a slot that is not live was abandoned");
  --live_;
  ++abandoned_;
}

std::size_t Slab::check_deep() const noexcept {
  std::size_t slots = 0;
  std::size_t live = 0;
  std::size_t free = 0;
  for (const Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
    ASSAY_CHECK(chunk->magic == chunk_magic && chunk->slab == this, "internal: a slab's chunk is broken");
    slots += chunk->capacity;
  }
  for_each_live([&](const std::byte*) { ++live; });
  for (const FreeChain& chain : free_) {
    for (const SlotMeta* slot = chain.first; slot != nullptr; slot = slot->next_free) {
      ASSAY_CHECK(slot->generation % 2 == 0 && ++free <= slots, "internal: a slab's free chain is broken");
      ASSAY_CHECK(slot->next_free != nullptr || slot == chain.last, "internal: a slab's free chain has a wrong end");
    }
  }
  ASSAY_CHECK(slots == slots_ && live == live_ + abandoned_ && live + free + retired_ == slots,
              "internal: a slab's totals are wrong");
  return live_;
}

}  // namespace assay::audited
