// Shows a chunk of slots by itself, below the slab: numbering, sizes, the way from an address to its slot, the states
// of a slot, and the abort of each step out of turn.
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <set>

#include <catch2/generators/catch_generators.hpp>

#include "assay/slab.hpp"
#include "support/dies.hpp"

using assay::audited::SlabChunk;
using assay::audited::SlabSlot;
using assay::detail::SlabClass;
using assay::test::check_dies;

namespace {

struct Chunk {
  explicit Chunk(std::size_t slot_bytes) : chunk(SlabChunk::make(slot_bytes, 1'000'000, size_class)) {}
  SlabClass size_class{};
  std::unique_ptr<SlabChunk> chunk;
  SlabSlot& first() { return chunk->slots().front(); }
};

}  // namespace

TEST_CASE("slab chunk: slots are numbered, sized and found by their address", "[kernel][slab]") {
  const std::size_t bytes =
      GENERATE(std::size_t{1}, std::size_t{64}, std::size_t{100}, std::size_t{4096}, std::size_t{200'000});
  CAPTURE(bytes);
  Chunk chunk(bytes);
  std::set<std::byte*> seen;
  CHECK_FALSE(chunk.chunk->slots().empty());
  for (SlabSlot& slot : chunk.chunk->slots()) {
    CHECK(slot.size() >= bytes);
    CHECK(slot.size() % SlabSlot::alignment == 0);
    CHECK(&slot.size_class() == &chunk.size_class);
    CHECK(&SlabSlot::of(slot.bytes()) == &slot);
    CHECK_FALSE(slot.is_live());
    CHECK_FALSE(slot.is_occupied());
    slot.take();
    CHECK(slot.is_live());
    std::memset(slot.bytes(), 1, slot.size());
    CHECK(seen.insert(slot.bytes()).second);
  }
  for (SlabSlot& slot : chunk.chunk->slots()) {
    slot.occupy();
    CHECK(slot.is_occupied());
    slot.vacate();
    CHECK_FALSE(slot.is_occupied());
    const std::uint32_t before = slot.generation();
    slot.release(before + 1);
    CHECK(slot.generation() == before + 1);
    CHECK_FALSE(slot.is_live());
  }
}

TEST_CASE("slab chunk: a slot larger than what memory can have is refused", "[kernel][slab][throw]") {
  SlabClass size_class{};
  CHECK_THROWS_AS(SlabChunk::make(std::numeric_limits<std::size_t>::max(), 1, size_class), std::bad_alloc);
  CHECK_THROWS_AS(SlabChunk::make(std::size_t{PTRDIFF_MAX}, 1, size_class), std::bad_alloc);
}

TEST_CASE("abort: a slot out of turn", "[kernel][slab][abort]") {
  check_dies("internal: a slab handed out a live slot", [] {
    Chunk chunk(100);
    chunk.first().take();
    chunk.first().take();
  });
  check_dies("internal: a task's memory was released twice", [] { Chunk(100).first().release(2); });
  check_dies("internal: a task's memory was released twice", [] {
    Chunk chunk(100);
    chunk.first().take();
    chunk.first().release(3);  // to a generation that is live
  });
  check_dies("internal: a task's memory was released with the task in it", [] {
    Chunk chunk(100);
    chunk.first().take();
    chunk.first().occupy();
    chunk.first().release(2);
  });
  check_dies("internal: two tasks were made in one slot", [] {
    Chunk chunk(100);
    chunk.first().take();
    chunk.first().occupy();
    chunk.first().occupy();
  });
  check_dies("internal: two tasks were made in one slot", [] { Chunk(100).first().occupy(); });
  check_dies("internal: a task left a slot that has none", [] {
    Chunk chunk(100);
    chunk.first().take();
    chunk.first().vacate();
  });
  check_dies("internal: a slot of no slab was used", [] { static_cast<void>(SlabSlot().bytes()); });
  check_dies("internal: a slab was given a pointer into a slot", [] {
    Chunk chunk(100);
    chunk.first().take();
    static_cast<void>(SlabSlot::of(chunk.first().bytes() + 1));
  });
  check_dies("internal: a slab was given a pointer into a slot", [] {
    Chunk chunk(100);
    const SlabSlot& last = chunk.chunk->slots().back();
    static_cast<void>(SlabSlot::of(last.bytes() + last.size()));  // behind the last one, where half a slot is left
  });
  check_dies("internal: a slot of no size", [] {
    SlabClass size_class{};
    static_cast<void>(SlabChunk::make(0, 1, size_class));
  });
  check_dies("internal: a slot of no size", [] {
    SlabClass size_class{};
    static_cast<void>(SlabChunk::make(1, 0, size_class));
  });
  check_dies("internal: a pointer that is in no slab was given to one", [] {
    alignas(64) static std::array<std::byte, std::size_t{3} << 16> foreign{};
    static_cast<void>(SlabSlot::of(foreign.data() + (std::size_t{1} << 16)));
  });
}
