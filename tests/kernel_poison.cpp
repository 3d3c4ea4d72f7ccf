// Shows, in builds for ASan, MSan and Valgrind, that the tool knows what nobody may touch: free slots of a slab, frames in the
// pool, and the value of a PinRc that has gone. And that it lets go of them when they are handed out. In other builds, that
// poisoning does nothing.
#include "assay/audited/poison.hpp"

#if defined(ASSAY_WITH_ASAN) || defined(ASSAY_WITH_MSAN) || defined(ASSAY_VALGRIND)

#include <cstring>
#include <memory>

#include <catch2/catch_test_macros.hpp>

#include "assay/audited/frame_pool.hpp"
#include "assay/pin.hpp"
#include "assay/slab.hpp"

#if defined(ASSAY_VALGRIND)
#include <valgrind/valgrind.h>
#endif

using assay::audited::SlabChunk;
using assay::audited::SlabSlot;
using assay::detail::SlabClass;

namespace {

enum class Bytes { usable, uninitialised, forbidden };

// What the tool says of all of these bytes. MSan has one state for the two kinds of which the contents may not be read.
Bytes look([[maybe_unused]] const void* bytes, [[maybe_unused]] std::size_t size) {
#if defined(ASSAY_WITH_ASAN)
  for (std::size_t i = 0; i < size; ++i) {
    if (!__asan_address_is_poisoned(static_cast<const char*>(bytes) + i)) return Bytes::usable;
  }
  return Bytes::forbidden;
#elif defined(ASSAY_WITH_MSAN)
  for (std::size_t i = 0; i < size; ++i) {
    if (__msan_test_shadow(static_cast<const char*>(bytes) + i, 1) == -1) return Bytes::usable;
  }
  return Bytes::uninitialised;
#else
  Bytes found = Bytes::forbidden;
  for (std::size_t i = 0; i < size; ++i) {
    unsigned char bits = 0;
    switch (VALGRIND_GET_VBITS(static_cast<const char*>(bytes) + i, &bits, 1)) {
      case 1:
        if (bits == 0) return Bytes::usable;
        found = Bytes::uninitialised;
        break;
      case 3: break;                   // not addressable
      default: return Bytes::usable;  // not under Valgrind: nothing is known, and nothing forbidden
    }
  }
  return found;
#endif
}

#if defined(ASSAY_WITH_ASAN)
constexpr Bytes dead = Bytes::forbidden, fresh = Bytes::usable;
#elif defined(ASSAY_WITH_MSAN)
constexpr Bytes dead = Bytes::uninitialised, fresh = Bytes::uninitialised;
#else
constexpr Bytes dead = Bytes::forbidden, fresh = Bytes::uninitialised;
#endif

bool is_watched() {
#if defined(ASSAY_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return true;
#endif
}

}  // namespace

TEST_CASE("poison: a slot may be touched between take and release", "[kernel][slab][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  SlabClass size_class{};
  const std::unique_ptr<SlabChunk> chunk = SlabChunk::make(100, 4, size_class);
  for (SlabSlot& slot : chunk->slots()) CHECK(look(slot.bytes(), slot.size()) == dead);
  for (SlabSlot& slot : chunk->slots()) {
    slot.take();
    CHECK(look(slot.bytes(), slot.size()) == fresh);
    std::memset(slot.bytes(), 1, slot.size());
    CHECK(look(slot.bytes(), slot.size()) == Bytes::usable);
    slot.release(slot.generation() + 1);
    CHECK(look(slot.bytes(), slot.size()) == dead);
  }
}

TEST_CASE("poison: a frame may be touched until it is freed", "[kernel][frame_pool][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  constexpr std::size_t size = 96;
  assay::audited::trim_frame_pool();
  void* const first = assay::audited::take_frame(size);
  CHECK(look(first, size) == fresh);
  std::memset(first, 1, size);
  CHECK(look(first, size) == Bytes::usable);
  assay::audited::free_frame(first, size);
  const bool is_cached = assay::audited::check_frame_pool() == 1;  // if not, the block is the system's
  CHECK((!is_cached || look(first, size) == dead));
  void* const second = assay::audited::take_frame(size);
  CHECK(look(second, size) == fresh);
  assay::audited::free_frame(second, size);
  assay::audited::trim_frame_pool();
  CHECK(assay::audited::check_frame_pool() == 0);
}

TEST_CASE("poison: the value of a PinRc is dead while PinWeaks keep its block", "[kernel][pin][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  auto strong = std::make_unique<assay::PinRc<std::uint64_t>>(assay::PinRc<std::uint64_t>::make(7U));
  const assay::PinWeak<std::uint64_t> weak(*strong);
  const std::uint64_t* const value = &**strong;
  CHECK(look(value, sizeof *value) == Bytes::usable);
  strong.reset();
  CHECK(weak.expired());
  CHECK(look(value, sizeof *value) == dead);
}

#else

#include <array>

#include <catch2/catch_test_macros.hpp>

TEST_CASE("poison: without a tool that looks, the bytes stay as they are", "[kernel][poison]") {
  std::array<char, 64> bytes{};
  bytes.fill(7);
  assay::audited::poison(bytes.data(), bytes.size());
  for (const char byte : bytes) CHECK(byte == 7);
  assay::audited::unpoison(bytes.data(), bytes.size());
  for (const char byte : bytes) CHECK(byte == 7);
}

#endif
