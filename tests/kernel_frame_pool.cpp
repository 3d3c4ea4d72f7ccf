// Shows the pool of coroutine frames: sizes, alignment, reuse without malloc, its bound, its thread-local caches,
// blocks freed on another thread and at thread exit; and that freeing twice or what is foreign aborts.
#include <array>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/audited/frame_pool.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"

using namespace assay::audited;
using assay::test::check_dies;
using assay::test::check_dies_from_level;

namespace {

constexpr bool recycles = !assay::audited::FrameClasses::pass_through;

std::uint64_t news() { return assay::testkit::allocation_counts().news; }

}  // namespace

TEST_CASE("frame pool: blocks of any size are aligned, apart, and counted", "[kernel][frame_pool]") {
  trim_frame_pool();
  CHECK(check_frame_pool() == 0);
  const FramePoolStats before = frame_pool_stats();
  std::vector<std::pair<void*, std::size_t>> blocks;
  constexpr std::array<std::size_t, 11> sizes{1, 16, 63, 64, 65, 500, 1000, 2047, 2048, 2049, 10000};
  for (const std::size_t size : sizes) {
    for (int i = 0; i < 2; ++i) {
      void* const block = take_frame(size);
      CHECK(reinterpret_cast<std::uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0);
      std::memset(block, static_cast<int>(blocks.size()), size);
      blocks.emplace_back(block, size);
    }
  }
  CHECK(frame_pool_stats().taken - before.taken == blocks.size());
  CHECK(frame_pool_stats().allocated - before.allocated == blocks.size());
  CHECK(check_frame_pool() == 0);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* const bytes = static_cast<const unsigned char*>(blocks.at(i).first);
    for (std::size_t at = 0; at < blocks.at(i).second; ++at) {
      if (bytes[at] != i) FAIL("two blocks overlap");
    }
    free_frame(blocks.at(i).first, blocks.at(i).second);
    CHECK(frame_pool_stats().freed - before.freed == i + 1);
    check_frame_pool();
  }
  // What is above 2048 bytes goes back to the system, and the rest is kept.
  CHECK(check_frame_pool() == (recycles ? 18U : 0U));
  trim_frame_pool();
  CHECK(check_frame_pool() == 0);
}

TEST_CASE("frame pool: a steady load takes nothing from malloc", "[kernel][frame_pool]") {
  if (!recycles) SKIP("the frame pool passes through in this build");
  const std::size_t size = GENERATE(std::size_t{1}, std::size_t{200}, std::size_t{2048});
  CAPTURE(size);
  std::array<void*, 10> blocks{};
  const auto round = [&] {
    for (void*& block : blocks) block = take_frame(size);
    for (void* const block : blocks) free_frame(block, size);
  };
  for (int i = 0; i < 10; ++i) round();  // more than the quarantine of level 3 is there now
  const std::uint64_t before = news();
  const FramePoolStats stats = frame_pool_stats();
  for (int i = 0; i < 1000; ++i) round();
  CHECK(news() == before);
  CHECK(frame_pool_stats().allocated == stats.allocated);
  CHECK(frame_pool_stats().taken - stats.taken == 10'000);
  CHECK(frame_pool_stats().freed - stats.freed == 10'000);
  check_frame_pool();
}

TEST_CASE("frame pool: what is cached is bounded by what the thread itself has had", "[kernel][frame_pool]") {
  if (!recycles) SKIP("the frame pool passes through in this build");
  trim_frame_pool();
  std::vector<void*> blocks;
  constexpr std::size_t size = 2048;
  constexpr std::size_t limit = FrameClasses::limit(FrameClasses::class_of(size));
  constexpr std::size_t count = limit + 100;
  const bool is_own = GENERATE(true, false);
  const auto take_all = [&] {
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(take_frame(size));
  };
  is_own ? take_all() : std::thread(take_all).join();
  const std::uint64_t before = assay::testkit::allocation_counts().deletes;
  for (void* const block : blocks) free_frame(block, size);
  const std::size_t cached = is_own && ASSAY_HARDENING_LEVEL < 3 ? count : limit;
  CHECK(check_frame_pool() == cached);
  CHECK(limit * size <= FrameClasses::cache_bytes_per_class);
  CHECK(assay::testkit::allocation_counts().deletes - before == count - cached);
  assay::trim_frames();
  CHECK(check_frame_pool() == 0);
  CHECK(assay::testkit::allocation_counts().deletes - before == count);
}

TEST_CASE("frame pool: the quarantine of level 3 hands out a block only after sixteen others", "[kernel][frame_pool]") {
  if (!recycles) SKIP("the frame pool passes through in this build");
  trim_frame_pool();
  void* const first = take_frame(100);
  free_frame(first, 100);
  void* const second = take_frame(100);
  CHECK((second == first) == (ASSAY_HARDENING_LEVEL < 3));
  free_frame(second, 100);
  std::size_t others = 0;
  for (; others < 100; ++others) {
    void* const next = take_frame(100);
    free_frame(next, 100);
    if (next == first) break;
  }
  CHECK(others == (ASSAY_HARDENING_LEVEL < 3 ? 0U : 15U));
  trim_frame_pool();
}

TEST_CASE("frame pool: a block may be freed on another thread, and caches go with their threads",
          "[kernel][frame_pool]") {
  trim_frame_pool();
  const FramePoolStats before = frame_pool_stats();
  void* const given = take_frame(100);
  void* taken = nullptr;
  std::uint64_t kept = 0;
  std::uint64_t stolen = 0;
  std::thread([&] {
    CHECK(frame_pool_stats().taken == 0);
    free_frame(given, 100);
    kept = check_frame_pool();
    stolen = frame_pool_stats().freed;
    taken = take_frame(5000);
  }).join();
  CHECK(kept == (recycles ? 1U : 0U));
  CHECK(stolen == 1);
  free_frame(taken, 5000);
  CHECK(frame_pool_stats().taken - before.taken == 1);
  CHECK(frame_pool_stats().freed - before.freed == 1);
  check_frame_pool();
}

TEST_CASE("frame pool: frames freed by destructors of thread-locals, before and after the cache is gone",
          "[kernel][frame_pool]") {
  struct Holder {
    void* block = nullptr;
    FramePoolStats* report = nullptr;
    ~Holder() {
      if (block == nullptr) return;
      free_frame(block, 100);
      check_frame_pool();
      *report = frame_pool_stats();
    }
  };
  // The cache registers its own end when it keeps its first block: before this thread-local is made, or after.
  const bool cache_first = GENERATE(true, false);
  CAPTURE(cache_first);
  FramePoolStats at_the_end{};
  std::thread([cache_first, &at_the_end] {
    if (cache_first) free_frame(take_frame(100), 100);
    static thread_local Holder holder;
    holder.report = &at_the_end;
    holder.block = take_frame(100);
    if (!cache_first) free_frame(take_frame(100), 100);
  }).join();
  CHECK(at_the_end.taken == 2);
  CHECK(at_the_end.freed == 2);  // and the leak checker is the judge of where they went
  check_frame_pool();
}

TEST_CASE("abort: frame pool misuse", "[kernel][frame_pool][abort]") {
  const char* const words = "internal: a coroutine frame was freed twice, or its header was overwritten";
  if (recycles) {
    check_dies(words, [] {
      void* const block = take_frame(100);
      free_frame(block, 100);
      free_frame(block, 100);
    });
  }
  check_dies(words, [] {
    alignas(16) static std::array<std::byte, 256> foreign{};
    free_frame(foreign.data() + 64, 100);
  });
  check_dies(words, [] {
    void* const block = take_frame(100);
    std::memset(static_cast<std::byte*>(block) - 8, 0, 8);  // a write before the frame
    free_frame(block, 100);
  });
  check_dies_from_level<2>("internal: a coroutine frame of no size", [] { static_cast<void>(take_frame(0)); });
  if (recycles) {
    // A block that is overwritten in the cache, before its header's end, is not handed out.
    const auto overwritten = [](void (*use)()) {
      return [use] {
        trim_frame_pool();  // of what other tests have left: the first below is to be the oldest
        std::array<void*, FrameClasses::quarantine + 1> blocks{};
        for (void*& block : blocks) block = take_frame(100);
        for (void* const block : blocks) free_frame(block, 100);
        std::memset(static_cast<std::byte*>(blocks.front()) - 8, 0, 8);
        use();
      };
    };
    check_dies(words, overwritten([] { static_cast<void>(take_frame(100)); }));
    check_dies(words, overwritten([] { check_frame_pool(); }));
    check_dies("internal: a frame pool's count is wrong", [] {
      free_frame(take_frame(100), 100);
      ++this_thread().frames.chains.at(FrameClasses::class_of(100)).count;
      check_frame_pool();
    });
    check_dies(words, [] { free_frame(take_frame(100), 200); });  // another class than it was taken with
  }
}
