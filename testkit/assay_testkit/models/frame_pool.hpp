// The coroutine-frame pool of this thread against a table of what is taken: a pattern is written into each block and must
// still be there when it is freed; blocks are recycled in the order that the hardening level promises.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/audited/poison.hpp"
#include "assay/base/check.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/pattern.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

class FramePoolModel {
 public:
  static constexpr std::size_t entry_count = 48;
  static constexpr std::size_t size_count = 10;
  static constexpr std::size_t frame_class_bytes = audited::frame_class_bytes;
  static constexpr std::size_t large = audited::frame_class_bytes * audited::frame_class_count + 1;
  static constexpr bool recycles = !audited::FrameClasses::pass_through;
  // At level 3 the newest 16 of a class stay in the pool, and at most 32.
  static constexpr std::size_t kept = ASSAY_HARDENING_LEVEL >= 3 ? 16 : 0;
  static constexpr std::size_t limit = ASSAY_HARDENING_LEVEL >= 3 ? 32 : 2000;

  enum Op : std::uint8_t { take, free, take_many, free_many, trim };
  static constexpr std::array<const char*, 5> names{"take", "free", "take_many", "free_many", "trim"};

  explicit FramePoolModel(std::uint8_t) {}

  static std::size_t entry_of(const Step& step) { return step.a % entry_count; }
  static std::size_t size_of(const Step& step) {
    static constexpr std::array<std::size_t, size_count> sizes{1, 63, 64, 65, 128, 200, large - 2, large - 1, large, 3 * large};
    return sizes.at(step.b % size_count);
  }
  static std::size_t class_of(std::size_t size) { return (size - 1) / frame_class_bytes; }
  // How many entries the step is about, from entry_of() on. Mostly few, since each costs an allocation.
  static std::size_t count_of(const Step& step) {
    if (step.op != take_many && step.op != free_many) return 1;
    return 1 + step.c % (step.c < 224 ? entry_count / 8 : entry_count);
  }

  bool allows(const Step& step) const {
    switch (step.op) {
      case take: return entries.at(entry_of(step)) == 0;
      case free: return entries.at(entry_of(step)) != 0;
      default: return true;
    }
  }

  void apply(const Step& step) {
    if (step.op == trim) {
      cached.fill(0);
      return;
    }
    const bool takes = step.op == take || step.op == take_many;
    for (std::size_t i = 0; i < count_of(step); ++i) {
      std::size_t& size = entries.at((entry_of(step) + i) % entry_count);
      if ((size == 0) != takes) continue;
      if (takes) size = size_of(step);
      if (recycles && size < large) {
        std::size_t& waiting = cached.at(class_of(size));
        if (takes && waiting > kept) {
          --waiting;
        } else if (!takes && waiting < limit) {
          ++waiting;
        }
      }
      if (!takes) size = 0;
    }
  }

  std::size_t all_cached() const {
    std::size_t sum = 0;
    for (const std::size_t each : cached) sum += each;
    return sum;
  }

  std::array<std::size_t, entry_count> entries{};  // sizes of what is taken
  std::array<std::size_t, audited::frame_class_count> cached{};
};

class FramePoolSystem {
 public:
  FramePoolSystem(Ledger& ledger, const FramePoolModel&) : ledger_(ledger) {
    audited::trim_frame_pool();
    note(before_);
  }
  ~FramePoolSystem() {
    for (Entry& entry : entries_) free(entry);
    if (damaged_) ++ledger_.values_made;  // never balanced
    audited::trim_frame_pool();
  }
  FramePoolSystem(const FramePoolSystem&) = delete;
  FramePoolSystem& operator=(const FramePoolSystem&) = delete;

  void run(const Step& step, const FramePoolModel&) {
    if (step.op == FramePoolModel::trim) {
      audited::trim_frame_pool();
      for (auto& waiting : free_) waiting.clear();
      return;
    }
    const bool takes = step.op == FramePoolModel::take || step.op == FramePoolModel::take_many;
    for (std::size_t i = 0; i < FramePoolModel::count_of(step); ++i) {
      Entry& entry = entries_.at((FramePoolModel::entry_of(step) + i) % FramePoolModel::entry_count);
      if (entry.bytes.empty() != takes) continue;
      takes ? take(entry, FramePoolModel::size_of(step)) : free(entry);
    }
  }

  void compare(const FramePoolModel& model) const {
    expect(!damaged_, "a frame's bytes changed while it was taken");
    expect(audited::check_frame_pool() == model.all_cached(), "the number of cached blocks");
    audited::FramePoolStats now;
    note(now);
    expect(now.taken - before_.taken == taken_ && now.freed - before_.freed == freed_, "the counts of taken and freed");
    expect(now.allocated - before_.allocated == taken_ - recycled_, "the count of allocations");
  }

 private:
  // Number by number: TypeSanitizer (clang 22) takes a copied struct for a part of the one that it was copied from.
  static void note(audited::FramePoolStats& place) {
    const audited::FramePoolStats now = audited::frame_pool_stats();
    place.taken = now.taken;
    place.freed = now.freed;
    place.allocated = now.allocated;
  }

  struct Entry {
    std::span<std::byte> bytes;
    std::byte pattern{0};
  };

  // The pool unpoisons what it hands out, so AddressSanitizer would not see it reach into what lies behind.
  static bool is_inside_allocation([[maybe_unused]] const std::byte* block, [[maybe_unused]] std::size_t size) {
#if defined(ASSAY_WITH_ASAN)
    std::array<char, 8> name{};
    void* region = nullptr;
    std::size_t region_size = 0;
    __asan_locate_address(const_cast<std::byte*>(block), name.data(), name.size(), &region, &region_size);
    return block + size <= static_cast<std::byte*>(region) + region_size;
#else
    return true;
#endif
  }

  void take(Entry& entry, std::size_t size) {
    const std::size_t frame_class = FramePoolModel::class_of(size);
    auto* const block = static_cast<std::byte*>(audited::take_frame(size));
    // First the books, so that a mismatch leaves nothing behind.
    entry.bytes = std::span(block, size);
    entry.pattern = static_cast<std::byte>(++patterns_);
    ++taken_;
    ++ledger_.values_made;
    expect(is_inside_allocation(block, size), "a block is larger than the memory that it lies in");
    expect(reinterpret_cast<std::uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0, "alignment");
    write_pattern(entry.bytes, entry.pattern);
    if (frame_class >= free_.size() || free_.at(frame_class).size() <= FramePoolModel::kept) return;
    auto& waiting = free_.at(frame_class);
    const auto next = FramePoolModel::kept > 0 ? waiting.begin() : waiting.end() - 1;  // the oldest, or the newest
    expect(block == *next, "which block is recycled");
    waiting.erase(next);
    ++recycled_;
  }

  void free(Entry& entry) {
    if (entry.bytes.empty()) return;
    if (!has_pattern(entry.bytes, entry.pattern)) damaged_ = true;
    const std::size_t frame_class = FramePoolModel::class_of(entry.bytes.size());
    if (FramePoolModel::recycles && frame_class < free_.size() && free_.at(frame_class).size() < FramePoolModel::limit) {
      auto& waiting = free_.at(frame_class);
      if (waiting.capacity() == 0) waiting.reserve(FramePoolModel::entry_count);
      waiting.push_back(entry.bytes.data());
    }
    audited::free_frame(entry.bytes.data(), entry.bytes.size());
    ++freed_;
    ++ledger_.values_destroyed;
    entry = Entry{};
  }

  Ledger& ledger_;
  audited::FramePoolStats before_;
  std::array<Entry, FramePoolModel::entry_count> entries_{};
  std::array<std::vector<std::byte*>, audited::frame_class_count> free_{};  // oldest first
  std::uint64_t taken_ = 0;
  std::uint64_t freed_ = 0;
  std::uint64_t recycled_ = 0;
  unsigned patterns_ = 0;
  bool damaged_ = false;
};

}  // namespace assay::testkit
