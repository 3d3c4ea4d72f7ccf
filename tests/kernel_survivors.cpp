// Shows what the rest of the suite left open: each case kills mutants of runtime/assay/audited/ (see mutants/automatic) that
// had survived all other tests.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "assay/audited/frame_pool.hpp"
#include "assay/audited/slab_chunk.hpp"
#include "assay/slab.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"

using namespace assay;
using namespace assay::test;
using audited::SlabChunk;
using audited::SlabSlot;
using testkit::allocation_counts;

TEST_CASE("frame pool: a thread that ends gives its cache back, and caches nothing after that", "[kernel][frame_pool][thread]") {
  using Deletes = std::array<std::uint64_t, 3>;  // of this thread: with the cache full, without it, and after one more frame
  struct Before {
    Deletes* deletes = nullptr;
    ~Before() {
      if (deletes != nullptr) deletes->at(0) = allocation_counts().deletes;
    }
  };
  struct After {
    Deletes* deletes = nullptr;
    void* frame = nullptr;
    ~After() {
      if (deletes == nullptr) return;
      deletes->at(1) = allocation_counts().deletes;
      audited::free_frame(frame, 100);
      deletes->at(2) = allocation_counts().deletes;
    }
  };
  Deletes deletes{};
  constexpr std::size_t kept = 5;
  std::thread([&] {
    static thread_local After after;  // made before the pool's own, which ends in between
    after.deletes = &deletes;
    after.frame = audited::take_frame(100);
    std::array<void*, kept> frames{};
    for (void*& frame : frames) frame = audited::take_frame(100);
    for (void* const frame : frames) audited::free_frame(frame, 100);
    static thread_local Before before;
    before.deletes = &deletes;
  }).join();
  if (audited::FrameClasses::pass_through) return;  // there is no cache
  CHECK(deletes.at(1) - deletes.at(0) == kept);
  CHECK(deletes.at(2) - deletes.at(1) == 1);
}

TEST_CASE("a chunk's slots lie side by side in its 32 KiB, as many as fit and as were asked for", "[kernel][slab]") {
  constexpr std::size_t whole = std::size_t{32} << 10;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{1024}, std::size_t{4096}, whole, 3 * whole}) {
    for (const std::size_t most : {std::size_t{1}, std::size_t{5}, std::size_t{10'000}}) {
      CAPTURE(bytes, most);
      detail::SlabClass size_class{};
      const auto chunk = SlabChunk::make(bytes, most, size_class);
      const std::size_t rounded = (bytes + 63) / 64 * 64;
      const std::size_t fit = (whole - sizeof(SlabChunk)) / rounded;
      REQUIRE(chunk->slots().size() == (fit == 0 ? 1 : fit < most ? fit : most));
      CHECK(reinterpret_cast<std::uintptr_t>(chunk.get()) % whole == 0);
      const std::byte* expected = reinterpret_cast<const std::byte*>(chunk.get()) + sizeof(SlabChunk);
      for (SlabSlot& slot : chunk->slots()) {
        if (slot.bytes() != expected || slot.size() != rounded || slot.generation() != 0) FAIL("a slot is elsewhere, or of another size");
        expected += rounded;
      }
    }
  }
}

TEST_CASE("abort: a waker's table with an empty entry, each of the four", "[kernel][waker][abort]") {
  static constexpr auto clone = [](void*) noexcept { return RawWaker{}; };
  static constexpr auto nothing = [](void*) noexcept {};
  static constexpr std::array<RawWakerVTable, 4> tables{
      RawWakerVTable{nullptr, nothing, nothing, nothing}, RawWakerVTable{clone, nullptr, nothing, nothing},
      RawWakerVTable{clone, nothing, nullptr, nothing}, RawWakerVTable{clone, nothing, nothing, nullptr}};
  for (const RawWakerVTable& table : tables) {
    check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [&] { Waker::from_raw({nullptr, &table}); });
  }
}
