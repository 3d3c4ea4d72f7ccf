// Shows the slab of task memory: sizes and alignment, generations that never repeat, slots that retire when they would,
// reuse, growth and fullness, abandoning; and the abort of each misuse. check_deep() after every step.
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

#include "assay/slab.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"

using assay::detail::Slab;
using assay::detail::SlabOptions;
using assay::test::check_dies;

namespace {

SlabOptions fixed(std::size_t slots, std::size_t bytes, unsigned bits = 32) {
  return SlabOptions{.slots = slots, .slot_bytes = bytes, .growth = false, .generation_bits = bits};
}

}  // namespace

TEST_CASE("slab: slots are aligned, as large as asked for, and apart from each other", "[kernel][slab]") {
  Slab slab(SlabOptions{});
  std::map<std::byte*, std::size_t> taken;
  std::size_t count = 0;
  constexpr std::array<std::size_t, 17> sizes{1,    64,   127,  128,  129,  200,  256,   257,   500,
                                              1000, 2000, 4000, 4096, 4097, 5000, 70000, 300000};
  for (const std::size_t size : sizes) {
    for (int i = 0; i < 3; ++i) {
      const Slab::Taken one = slab.try_take(size);
      REQUIRE(one.slot != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(one.slot) % Slab::slot_alignment == 0);
      CHECK(one.generation % 2 == 1);
      CHECK(Slab::generation(one.slot) == one.generation);
      std::memset(one.slot, 0xAB, size);
      taken[one.slot] = size;
      ++count;
      CHECK(slab.live() == count);
      CHECK(slab.check_deep() == count);
    }
  }
  CHECK(taken.size() == count);
  std::byte* last = nullptr;
  for (const auto& [slot, size] : taken) {
    if (last != nullptr && slot < last) FAIL("two slots overlap");
    last = slot + size;
  }
  std::set<std::byte*> visited;
  slab.for_each_live([&](std::byte* slot) { visited.insert(slot); });
  CHECK(visited.size() == count);
  for (const auto& [slot, size] : taken) {
    const std::uint32_t before = Slab::generation(slot);
    slab.release(slot);
    CHECK(Slab::generation(slot) == before + 1);
    CHECK(slab.live() == --count);
    CHECK(slab.check_deep() == count);
  }
  slab.for_each_live([&](std::byte*) { FAIL("nothing lives any more"); });
}

TEST_CASE("slab: a steady load allocates nothing and reuses slots under new generations", "[kernel][slab]") {
  Slab slab(SlabOptions{.slots = 100, .slot_bytes = 300});
  const std::size_t slots = slab.slots();
  CHECK(slots >= 100);
  const auto before = assay::testkit::allocation_counts();
  std::map<std::byte*, std::uint32_t> last_generation;
  std::uint64_t wrong = 0;
  std::uint64_t reused = 0;
  for (int round = 0; round < 2000; ++round) {
    const auto during = assay::testkit::allocation_counts().news;
    const Slab::Taken one = slab.try_take(300);
    slab.release(one.slot);
    if (assay::testkit::allocation_counts().news != during) ++wrong;
    const auto [place, fresh] = last_generation.try_emplace(one.slot, one.generation);
    if (!fresh) {
      ++reused;
      if (one.generation <= place->second) ++wrong;
      place->second = one.generation;
    }
  }
  CHECK(wrong == 0);
  CHECK(reused > 0);
  CHECK(slab.slots() == slots);
  CHECK(slab.live() == 0);
  CHECK(slab.check_deep() == 0);
  CHECK(before.news <= assay::testkit::allocation_counts().news);
}

TEST_CASE("slab: growth off says full, reserve makes room, a larger slot will do", "[kernel][slab]") {
  Slab slab(fixed(3, 200));
  const std::size_t slots = slab.slots();
  REQUIRE(slots >= 3);
  std::vector<std::byte*> taken;
  for (std::size_t i = 0; i < slots; ++i) taken.push_back(slab.try_take(200).slot);
  CHECK(slab.try_take(200).slot == nullptr);
  CHECK(slab.try_take(1).slot == nullptr);
  CHECK(slab.check_deep() == slots);
  slab.reserve(2, 1000);
  CHECK(slab.slots() >= slots + 2);
  std::byte* const large = slab.try_take(1000).slot;
  CHECK(large != nullptr);
  std::byte* const small_in_large = slab.try_take(100).slot;  // no small one is left: one of the large
  CHECK(small_in_large != nullptr);
  CHECK(slab.try_take(5000).slot == nullptr);
  CHECK(slab.check_deep() == slots + 2);
  for (std::byte* slot : taken) slab.release(slot);
  slab.release(large);
  slab.release(small_in_large);
  CHECK(slab.check_deep() == 0);
  const std::size_t now = slab.slots();
  slab.reserve(now - slots, 1000);  // there is room already
  CHECK(slab.slots() == now);
  slab.reserve(0, 1);
  CHECK(slab.slots() == now);
}

TEST_CASE("slab: objects too large for a class are reused by what fits, and by nothing larger", "[kernel][slab]") {
  Slab slab(SlabOptions{});
  std::byte* const big = slab.try_take(10'000).slot;
  std::byte* const bigger = slab.try_take(60'000).slot;
  const std::size_t slots = slab.slots();
  slab.release(big);
  slab.release(bigger);
  CHECK(slab.check_deep() == 0);
  std::byte* const again = slab.try_take(50'000).slot;  // the small ones are passed over
  CHECK(again == bigger);
  CHECK(slab.slots() == slots);
  std::memset(again, 1, 50'000);
  std::byte* const new_chunk = slab.try_take(50'000).slot;
  CHECK(slab.slots() > slots);
  std::memset(new_chunk, 2, 50'000);
  CHECK(slab.check_deep() == 2);
  slab.release(again);
  slab.release(new_chunk);
  CHECK(slab.check_deep() == 0);
}

TEST_CASE("slab: narrow generations: a slot is used until its tag would repeat, and retires", "[kernel][slab]") {
  const unsigned bits = GENERATE(2U, 3U, 5U, 8U);
  CAPTURE(bits);
  Slab slab(fixed(1, 4000, bits));
  const std::size_t slots = slab.slots();
  const std::uint64_t lives = std::uint64_t{1} << (bits - 1);  // odd generations
  std::set<std::pair<std::byte*, std::uint32_t>> seen;
  std::uint64_t takes = 0;
  for (;;) {
    const Slab::Taken one = slab.try_take(4000);
    if (one.slot == nullptr) break;
    ++takes;
    if (!seen.insert({one.slot, one.generation}).second) FAIL("a tag was repeated");
    CHECK(slab.check_deep() == 1);
    slab.release(one.slot);
    CHECK(slab.check_deep() == 0);
    REQUIRE(takes <= slots * lives);
  }
  CHECK(takes == slots * lives);
  CHECK(slab.retired() == slots);
  CHECK(slab.live() == 0);
  slab.reserve(1, 4000);  // new slots, though all old ones have retired
  CHECK(slab.slots() > slots);
  const Slab::Taken fresh = slab.try_take(4000);
  CHECK(fresh.generation == 1);
  slab.release(fresh.slot);
  CHECK(slab.check_deep() == 0);
}

TEST_CASE("slab: abandoned slots no longer count, and go with the slab", "[kernel][slab]") {
  auto slab = std::make_unique<Slab>(SlabOptions{});
  std::byte* const first = slab->try_take(100).slot;
  std::byte* const second = slab->try_take(100).slot;
  slab->abandon(first);
  CHECK(slab->live() == 1);
  CHECK(slab->check_deep() == 1);
  slab->release(second);
  CHECK(slab->live() == 0);
  CHECK(slab->check_deep() == 0);
  slab.reset();
}

TEST_CASE("slab: random takes and releases, in all classes", "[kernel][slab]") {
  const unsigned seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  std::mt19937 random(seed);
  Slab slab(SlabOptions{.slots = 10, .slot_bytes = 128, .growth = true, .generation_bits = 4});
  struct Live {
    Slab::Taken taken;
    std::size_t size;
    unsigned char mark;
  };
  std::vector<Live> live;
  std::set<std::pair<std::byte*, std::uint32_t>> tags;
  for (int step = 0; step < 3000; ++step) {
    if (live.size() < 100 && random() % 2 == 0) {
      const std::size_t size = 1 + random() % 6000;
      const auto mark = static_cast<unsigned char>(random());
      const Slab::Taken one = slab.try_take(size);
      if (!tags.insert({one.slot, one.generation}).second) FAIL("a tag was repeated");
      std::memset(one.slot, mark, size);
      live.push_back({one, size, mark});
    } else if (!live.empty()) {
      const std::size_t at = random() % live.size();
      const Live gone = live.at(at);
      for (std::size_t i = 0; i < gone.size; i += 61) {
        if (static_cast<unsigned char>(gone.taken.slot[i]) != gone.mark) FAIL("somebody wrote into a live slot");
      }
      if (Slab::generation(gone.taken.slot) != gone.taken.generation) FAIL("a live slot's tag changed");
      slab.release(gone.taken.slot);
      live.at(at) = live.back();
      live.pop_back();
    }
    if (slab.check_deep() != live.size()) FAIL("wrong count at step " << step);
  }
  CHECK(slab.retired() > 0);
  for (const Live& each : live) slab.release(each.taken.slot);
  CHECK(slab.check_deep() == 0);
}

TEST_CASE("slab: an allocation that fails leaves the slab as it was", "[kernel][slab][throw]") {
  Slab slab(SlabOptions{});
  std::byte* const first = slab.try_take(100).slot;
  const std::size_t slots = slab.slots();
  std::uint64_t failures = 0;
  for (std::uint64_t n = 0;; ++n) {
    REQUIRE(n < 20);
    bool threw = false;
    assay::testkit::fail_allocation_after(n);
    try {
      slab.reserve(1, 3000);
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    assay::testkit::stop_failing();
    CHECK(slab.check_deep() == 1);
    if (!threw) break;
    ++failures;
    CHECK(slab.slots() == slots);
  }
  CHECK(failures >= 1);
  CHECK(slab.slots() > slots);
  slab.release(first);
}

TEST_CASE("abort: slab misuse", "[kernel][slab][abort]") {
  check_dies("internal: a task's memory was released twice", [] {
    Slab slab(SlabOptions{});
    std::byte* const slot = slab.try_take(100).slot;
    slab.release(slot);
    slab.release(slot);
  });
  check_dies("internal: a slot was released to another slab", [] {
    Slab slab(SlabOptions{});
    Slab other(SlabOptions{});
    other.release(slab.try_take(100).slot);
  });
  check_dies("internal: a slab was given a pointer into a slot", [] {
    Slab slab(SlabOptions{});
    slab.release(slab.try_take(100).slot + 64);
  });
  check_dies("internal: a slot that is not live was abandoned", [] {
    Slab slab(SlabOptions{});
    std::byte* const slot = slab.try_take(100).slot;
    slab.release(slot);
    slab.abandon(slot);
  });
  check_dies("internal: an executor's memory went while tasks were alive in it", [] {
    Slab slab(SlabOptions{});
    static_cast<void>(slab.try_take(100));
  });
  check_dies("internal: a slab's generations need at least two bits",
             [] { const Slab slab(SlabOptions{.generation_bits = 1}); });
  check_dies("internal: a slot of no size", [] {
    Slab slab(SlabOptions{});
    static_cast<void>(slab.try_take(0));
  });
}
