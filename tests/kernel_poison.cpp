// Shows, in builds for ASan, MSan and Valgrind, that the tool knows what nobody may touch: free slots of a slab, frames in the
// pool, and the value of a PinRc that has gone. And that it lets go of them when they are handed out. In other builds, that
// poisoning does nothing.
#include "assay/audited/poison.hpp"

#if defined(ASSAY_WITH_ASAN) || defined(ASSAY_WITH_MSAN) || defined(ASSAY_VALGRIND)

#include <malloc.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include <catch2/catch_test_macros.hpp>

#include "assay/audited/frame_pool.hpp"
#include "assay/executor.hpp"
#include "assay/pin.hpp"
#include "assay/slab.hpp"
#include "assay_testkit/allocation_counter.hpp"

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

// malloc and free set the state of what they hand out and take back. An allocator in between does not: it hands out what it got.
namespace {

class KeptMemory {
 public:
  KeptMemory() {
    count = 0;
    assay::testkit::observe_frees([](void* memory) noexcept {
      if (count == most) return false;
      memories.at(count++) = memory;
      return true;
    });
  }
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;
  ~KeptMemory() {
    assay::testkit::observe_frees(nullptr);
    for (std::size_t i = 0; i < count; ++i) std::free(memories.at(i));
  }

  std::size_t size() const { return count; }
  // Of all bytes that were given back, those that the next one may not touch.
  std::size_t forbidden() const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* const bytes = static_cast<const char*>(memories.at(i));
      for (std::size_t at = 0; at < ::malloc_usable_size(memories.at(i)); ++at) found += look(bytes + at, 1) == Bytes::forbidden ? 1 : 0;
    }
    return found;
  }

 private:
  static constexpr std::size_t most = 200;
  static inline std::array<void*, most> memories{};
  static inline std::size_t count = 0;
};

struct KeepsItsWaker {
  using Output = assay::Unit;
  std::optional<assay::Waker>& place;
  assay::Poll<assay::Unit> poll(assay::Context& context) const {
    place = context.waker();
    return assay::Pending;
  }
};

}  // namespace

TEST_CASE("poison: a PinRc's block goes back as it came", "[kernel][pin][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  std::optional<assay::PinRc<std::uint64_t>> strong = assay::PinRc<std::uint64_t>::make(7U);
  const KeptMemory kept;
  strong.reset();
  CHECK(kept.size() == 1);
  CHECK(kept.forbidden() == 0);
}

TEST_CASE("poison: the frame pool's blocks go back as they came", "[kernel][frame_pool][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  assay::audited::trim_frame_pool();
  const KeptMemory kept;
  void* const frame = assay::audited::take_frame(96);
  assay::audited::free_frame(frame, 96);
  assay::audited::trim_frame_pool();
  CHECK(kept.size() == 1);
  CHECK(kept.forbidden() == 0);
}

TEST_CASE("poison: a slab's chunks go back as they came", "[kernel][slab][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  SlabClass size_class{};
  std::unique_ptr<SlabChunk> chunk = SlabChunk::make(100, 4, size_class);
  SlabSlot& slot = chunk->slots().front();
  slot.take();
  slot.release(slot.generation() + 1);
  const KeptMemory kept;
  chunk.reset();
  CHECK(kept.size() == 2);  // the slots' records, and the chunk with its slots
  CHECK(kept.forbidden() == 0);
}

TEST_CASE("poison: an executor's memory goes back as it came, with the last waker of a task", "[kernel][slab][poison]") {
  if (!is_watched()) SKIP("built for Valgrind, and not run under it");
  std::optional<assay::Waker> last;
  {
    assay::Executor executor;
    executor.spawn_detached(KeepsItsWaker{last});
    CHECK(executor.run_until_stalled() == 1);
  }
  const KeptMemory kept;
  last.reset();
  CHECK(kept.size() >= 2);  // the chunk in which the task was, and the core
  CHECK(kept.forbidden() == 0);
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
