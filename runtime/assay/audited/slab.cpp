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
constexpr bool quarantine = ASSAY_HARDENING_LEVEL >= 3;

constexpr std::size_t round_up(std::size_t size, std::size_t unit) noexcept { return (size + unit - 1) / unit * unit; }

}  // namespace

Slab::Slab(const SlabOptions& options)
    : generation_limit_(options.generation_bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << options.generation_bits) - 1),
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
    // SAFETY(M6): the chunk was made by grow() with these bytes and this alignment; no slot of it is in use.
    unpoison(chunk, bytes);
    ::operator delete(static_cast<void*>(chunk), bytes, std::align_val_t{chunk_bytes});
  }
}

std::uint32_t Slab::class_of(std::size_t size) noexcept {
  ASSAY_ASSERT(size > 0, "internal: a slot of no size");
  const auto at = std::lower_bound(class_sizes.begin(), class_sizes.end(), size);
  return static_cast<std::uint32_t>(std::distance(class_sizes.begin(), at));
}

Slab::SlotMeta& Slab::meta(const Chunk& chunk, std::uint32_t index) noexcept {
  ASSAY_CHECK(index < chunk.capacity, "internal: a slab was asked for a slot beyond its end");
  // SAFETY(M7): grow() constructed `capacity` SlotMetas right behind the Chunk; index is below that.
  auto* const first = reinterpret_cast<SlotMeta*>(const_cast<Chunk*>(&chunk) + 1);
  return first[index];
}

std::byte* Slab::slot_at(const Chunk& chunk, std::uint32_t index) noexcept {
  ASSAY_ASSERT(index < chunk.capacity, "internal: a slab was asked for a slot beyond its end");
  // SAFETY(M7): first_slot + capacity * stride <= bytes (grow), so the slot is inside the chunk's allocation.
  return reinterpret_cast<std::byte*>(const_cast<Chunk*>(&chunk)) + chunk.first_slot + index * chunk.stride;
}

Slab::Chunk& Slab::chunk_of(const std::byte* slot) noexcept {
  // SAFETY(M8): chunks are aligned to chunk_bytes and every slot begins in the first chunk_bytes of its chunk; the magic
  // and slot_at() confirm it before anything is changed.
  auto* const chunk = reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(slot) & ~(chunk_bytes - 1));
  ASSAY_CHECK(chunk->magic == chunk_magic, "internal: a pointer that is in no slab was given to one");
  return *chunk;
}

std::uint32_t Slab::index_of(const Chunk& chunk, const std::byte* slot) noexcept {
  // SAFETY(M8): both are addresses inside one chunk (chunk_of); slot_at() confirms the result.
  const auto offset = reinterpret_cast<std::uintptr_t>(slot) - reinterpret_cast<std::uintptr_t>(&chunk) - chunk.first_slot;
  const auto index = static_cast<std::uint32_t>(offset / chunk.stride);
  ASSAY_CHECK(index < chunk.capacity && slot_at(chunk, index) == slot, "internal: a slab was given a pointer into a slot");
  return index;
}

std::uint32_t Slab::generation(const std::byte* slot) noexcept {
  const Chunk& chunk = chunk_of(slot);
  return meta(chunk, index_of(chunk, slot)).generation;
}

Slab::Chunk& Slab::grow(std::uint32_t size_class, std::size_t size) {
  const bool large = size_class == class_count;
  const std::size_t stride = large ? round_up(size, slot_alignment) : class_sizes.at(size_class);
  const std::size_t capacity =
      large ? 1 : (chunk_bytes - sizeof(Chunk) - slot_alignment) / (stride + sizeof(SlotMeta));
  const std::size_t first_slot = round_up(sizeof(Chunk) + capacity * sizeof(SlotMeta), slot_alignment);
  const std::size_t bytes = large ? first_slot + stride : chunk_bytes;
  ASSAY_ASSERT(first_slot + capacity * stride <= bytes, "internal: a slab's chunk is too small for its slots");
  // SAFETY(M6): raw memory of `bytes`, freed with the same bytes and alignment by the destructor.
  void* const raw = ::operator new(bytes, std::align_val_t{chunk_bytes});
  // SAFETY(M6): the chunk's header begins its life at the start of that memory; Chunk is trivially destructible.
  auto* const chunk = ::new (raw) Chunk{this,
                                        nullptr,
                                        nullptr,
                                        stride,
                                        bytes,
                                        first_slot,
                                        size_class,
                                        static_cast<std::uint32_t>(capacity),
                                        none,
                                        none,
                                        0,
                                        chunk_magic};
  // SAFETY(M7): the metas begin their lives right behind the header, before first_slot.
  std::uninitialized_default_construct_n(reinterpret_cast<SlotMeta*>(chunk + 1), capacity);
  (last_chunk_ != nullptr ? last_chunk_->next : chunks_) = chunk;
  last_chunk_ = chunk;
  slots_ += capacity;
  for (std::uint32_t end = chunk->capacity; end > 0; --end) free_slot(*chunk, end - 1);
  return *chunk;
}

// Puts a slot that is not live (even generation) into its chunk's chain.
void Slab::free_slot(Chunk& chunk, std::uint32_t index) noexcept {
  SlotMeta& slot = meta(chunk, index);
  ASSAY_ASSERT(slot.generation % 2 == 0, "internal: a live slot was put among the free");
  poison(slot_at(chunk, index), chunk.stride);
  if (chunk.first_free == none) {
    Chunk*& room = with_room_.at(chunk.size_class);
    chunk.next_with_room = room;
    room = &chunk;
    chunk.first_free = chunk.last_free = index;
    slot.next_free = none;
  } else if (quarantine) {  // the longest-free slot is handed out first
    meta(chunk, chunk.last_free).next_free = index;
    slot.next_free = none;
    chunk.last_free = index;
  } else {
    slot.next_free = chunk.first_free;
    chunk.first_free = index;
  }
}

// The chunk has a free slot and is the first of its class's list.
Slab::Taken Slab::take_from(Chunk& chunk) noexcept {
  const std::uint32_t index = chunk.first_free;
  SlotMeta& slot = meta(chunk, index);
  ASSAY_CHECK(slot.generation % 2 == 0, "internal: a slab handed out a live slot");
  chunk.first_free = slot.next_free;
  slot.next_free = none;
  ++slot.generation;
  ++chunk.live;
  ++live_;
  if (chunk.first_free == none) {
    chunk.last_free = none;
    Chunk** place = &with_room_.at(chunk.size_class);
    while (*place != &chunk) place = &(*place)->next_with_room;
    *place = chunk.next_with_room;
    chunk.next_with_room = nullptr;
  }
  std::byte* const bytes = slot_at(chunk, index);
  unpoison(bytes, chunk.stride);
  return Taken{bytes, slot.generation};
}

// A chunk with room for `size` bytes in this class; with growth off also in a larger one.
Slab::Chunk* Slab::room_for(std::uint32_t size_class, std::size_t size) noexcept {
  for (std::uint32_t at = size_class; at < class_count; ++at) {
    if (with_room_.at(at) != nullptr) return with_room_.at(at);
    if (growth_) return nullptr;
  }
  Chunk* chunk = with_room_.at(class_count);
  while (chunk != nullptr && chunk->stride < size) chunk = chunk->next_with_room;
  return chunk;
}

Slab::Taken Slab::try_take(std::size_t size) {
  const std::uint32_t size_class = class_of(size);
  Chunk* chunk = room_for(size_class, size);
  if (chunk == nullptr) {
    if (!growth_) return Taken{};
    chunk = &grow(size_class, size);
  }
  return take_from(*chunk);
}

void Slab::reserve(std::size_t count, std::size_t size) {
  if (count == 0) return;
  const std::uint32_t size_class = class_of(size);
  std::size_t room = 0;
  for (const Chunk* chunk = with_room_.at(size_class); chunk != nullptr; chunk = chunk->next_with_room) {
    if (chunk->stride >= size) room += chunk->capacity - chunk->live;
  }
  while (room < count) room += grow(size_class, size).capacity;
}

void Slab::release(std::byte* slot) noexcept {
  Chunk& chunk = chunk_of(slot);
  ASSAY_CHECK(chunk.slab == this, "internal: a slot was released to another slab");
  const std::uint32_t index = index_of(chunk, slot);
  SlotMeta& tag = meta(chunk, index);
  ASSAY_CHECK(tag.generation % 2 == 1, "internal: a task's memory was released twice");
  --chunk.live;
  --live_;
  if (tag.generation == generation_limit_) {  // the next tag would repeat an old one: retired
    tag.generation = 0;
    tag.next_free = none;
    ++retired_;
    poison(slot, chunk.stride);
    return;
  }
  ++tag.generation;
  free_slot(chunk, index);
}

void Slab::abandon(std::byte* slot) noexcept {
  const Chunk& chunk = chunk_of(slot);
  ASSAY_CHECK(chunk.slab == this && is_live(chunk, index_of(chunk, slot)), "internal: a slot that is not live was abandoned");
  --live_;
  ++abandoned_;
}

std::size_t Slab::check_deep() const noexcept {
  std::size_t live = 0;
  std::size_t slots = 0;
  std::size_t free = 0;
  for (const Chunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) {
    ASSAY_CHECK(chunk->magic == chunk_magic && chunk->slab == this, "internal: a slab's chunk is broken");
    std::uint32_t here = 0;
    for (std::uint32_t index = 0; index < chunk->capacity; ++index) here += is_live(*chunk, index) ? 1 : 0;
    ASSAY_CHECK(here == chunk->live, "internal: a slab's chunk counts its live slots wrongly");
    std::uint32_t last = none;
    for (std::uint32_t at = chunk->first_free; at != none; at = meta(*chunk, at).next_free) {
      ASSAY_CHECK(!is_live(*chunk, at), "internal: a live slot is among the free");
      ASSAY_CHECK(++here <= chunk->capacity, "internal: a slab's free chain has a ring");
      last = at;
      ++free;
    }
    ASSAY_CHECK(chunk->first_free == none || chunk->last_free == last || !quarantine,
                "internal: a slab's free chain has a wrong end");
    live += chunk->live;
    slots += chunk->capacity;
  }
  std::size_t room = 0;
  for (const Chunk* list : with_room_) {
    for (const Chunk* chunk = list; chunk != nullptr; chunk = chunk->next_with_room) {
      ASSAY_CHECK(chunk->first_free != none, "internal: a full chunk is listed as one with room");
      for (std::uint32_t at = chunk->first_free; at != none; at = meta(*chunk, at).next_free) ++room;
    }
  }
  ASSAY_CHECK(slots == slots_ && live == live_ + abandoned_ && room == free && live + free + retired_ == slots,
              "internal: a slab's totals are wrong");
  return live_;
}

}  // namespace assay::audited
