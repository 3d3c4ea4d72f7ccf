// Slab against a table of what is taken: a pattern is written into each slot and must still be there when it is given back;
// generations are odd, grow with each use of a slot, and a slot whose generations are used up never comes back.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "assay/slab.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/pattern.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

class SlabModel {
 public:
  static constexpr std::size_t entry_count = 24;

  enum Op : std::uint8_t { take, release, abandon, reserve_and_take, churn };
  static constexpr std::array<const char*, 5> names{"take", "release", "abandon", "reserve_and_take", "churn"};

  explicit SlabModel(std::uint8_t option) {
    static constexpr std::array<unsigned, 4> bits{2, 3, 4, 32};
    static constexpr std::array<std::size_t, 4> bytes{2000, 3000, 3500, 4096};
    options.growth = option % 2 == 0;
    options.generation_bits = bits.at(option / 2 % 4);
    options.slot_bytes = bytes.at(option / 8 % 4);
    options.slots = option / 32;
  }

  static std::size_t entry_of(const Step& step) { return step.a % entry_count; }
  static std::size_t count_of(const Step& step) { return step.c % 4 + std::size_t{1}; }
  // Without growth there is one class of small slots, so that whether something fits does not depend on how sizes are
  // classed. Mostly sizes of which few slots make a chunk, since check_deep() looks at each; and of few classes, since each
  // has chunks of its own. Neither all zeros nor all ones, of which the engine is fond, mean anything slow.
  std::size_t size_of(const Step& step) const {
    static constexpr std::array<std::size_t, 6> large{4097, 5000, 5001, 12000, 65536, 70000};
    static constexpr std::array<std::size_t, 4> small{1, 129, 1000, 2000};
    if (step.b % 42 == 41) return large.at(step.b / std::size_t{42});
    if (!options.growth) return step.op == reserve_and_take ? options.slot_bytes : 1 + step.b * options.slot_bytes / 250;
    return step.b % 64 == 37 ? small.at(step.b / std::size_t{64}) : 3060 + step.b * std::size_t{4};
  }

  bool allows(const Step& step) const {
    switch (step.op) {
      case take: return !entries.at(entry_of(step)).taken;
      case reserve_and_take:
        for (std::size_t i = 0; i < count_of(step); ++i) {
          if (entries.at((entry_of(step) + i) % entry_count).taken) return false;
        }
        return true;
      case churn: return true;
      default: return entries.at(entry_of(step)).taken;
    }
  }

  void apply(const Step& step) {
    Entry& entry = entries.at(entry_of(step));
    switch (step.op) {
      case take: entry = Entry{true, size_of(step)}; break;
      case reserve_and_take:
        for (std::size_t i = 0; i < count_of(step); ++i) {
          entries.at((entry_of(step) + i) % entry_count) = Entry{true, size_of(step)};
        }
        if (size_of(step) > options.slot_bytes) large_reserved = true;
        break;
      case churn: break;
      default: entry = Entry{}; break;
    }
  }

  struct Entry {
    bool taken = false;  // or asked for in vain, when the slab was full
    std::size_t size = 0;
  };

  detail::SlabOptions options;
  std::array<Entry, entry_count> entries{};
  bool large_reserved = false;
};

class SlabSystem {
 public:
  SlabSystem(Ledger& ledger, const SlabModel& model) : ledger_(ledger), options_(model.options), slab_(model.options) {}
  ~SlabSystem() {
    for (Entry& entry : entries_) give_back(entry);
  }
  SlabSystem(const SlabSystem&) = delete;
  SlabSystem& operator=(const SlabSystem&) = delete;

  void run(const Step& step, const SlabModel& model) {
    const std::size_t first = SlabModel::entry_of(step);
    Entry& entry = entries_.at(first);
    const std::size_t size = model.size_of(step);
    switch (step.op) {
      case SlabModel::take: take(entry, size, model); break;
      case SlabModel::release: give_back(entry); break;
      case SlabModel::abandon:
        if (entry.bytes.data() == nullptr) break;
        slab_.abandon(entry.bytes.data());
        ++ledger_.values_destroyed;
        ++abandoned_;
        --live_;
        entry = Entry{};
        break;
      case SlabModel::reserve_and_take:
        slab_.reserve(SlabModel::count_of(step), size);
        for (std::size_t i = 0; i < SlabModel::count_of(step); ++i) {
          Entry& next = entries_.at((first + i) % SlabModel::entry_count);
          take(next, size, model);
          expect(next.bytes.data() != nullptr, "what was reserved is there");
        }
        break;
      default:
        for (int i = 0; i < step.c % 8; ++i) {
          Entry briefly;
          take(briefly, size, model);
          give_back(briefly);
        }
        break;
    }
  }

  void compare(const SlabModel&) const {
    expect(slab_.check_deep() == live_ && slab_.live() == live_, "the number of live slots");
    expect(slab_.retired() == retired_, "the number of retired slots");
    std::size_t seen = 0;
    slab_.for_each_live([&](std::byte*) { ++seen; });
    expect(seen == live_ + abandoned_, "for_each_live visits each live slot");
    expect(slab_.slots() >= live_ + abandoned_ + retired_, "slots()");
    for (const Entry& entry : entries_) {
      if (entry.bytes.data() == nullptr) continue;
      expect(detail::Slab::generation(entry.bytes.data()) == entry.generation, "a slot's generation while taken");
    }
    for (const auto& [slot, generation] : returned_) {
      expect(detail::Slab::generation(slot) != generation, "a slot that was given back, and perhaps taken again, has its old tag");
    }
  }

 private:
  static constexpr std::size_t most_returned = 32;

  struct Entry {
    std::span<std::byte> bytes;
    std::uint32_t generation = 0;
    std::byte pattern{0};
  };

  std::uint32_t last_generation() const {
    return options_.generation_bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << options_.generation_bits) - 1;
  }

  // The generation that the slot had when it was last taken; 0 if never.
  std::uint32_t& last_of(const std::byte* slot) {
    const auto is_before = [](const auto& known, const std::byte* wanted) { return known.first < wanted; };
    auto place = std::lower_bound(generations_.begin(), generations_.end(), slot, is_before);
    if (place == generations_.end() || place->first != slot) place = generations_.insert(place, {slot, 0});
    return place->second;
  }

  // A handle that is stale from now on.
  void note_returned(const std::byte* slot, std::uint32_t generation) {
    if (returned_.size() == most_returned) returned_.erase(returned_.begin());
    returned_.emplace_back(slot, generation);
  }

  void take(Entry& entry, std::size_t size, const SlabModel& model) {
    const bool full = slab_.slots() == live_ + abandoned_ + retired_;
    const detail::Slab::Taken taken = slab_.try_take(size);
    if (taken.slot == nullptr) {
      expect(!options_.growth, "a slab that may grow is never full");
      expect(model.large_reserved || full || size > options_.slot_bytes, "a slab said full that is not");
      return;
    }
    // First the books, so that a mismatch leaves nothing behind.
    entry.bytes = std::span(taken.slot, size);
    entry.generation = taken.generation;
    entry.pattern = static_cast<std::byte>(++patterns_);
    ++live_;
    ++ledger_.values_made;
    write_pattern(entry.bytes, entry.pattern);
    expect(options_.growth || !full, "a slab without growth handed out more than it has");
    expect(reinterpret_cast<std::uintptr_t>(taken.slot) % detail::Slab::slot_alignment == 0, "alignment");
    std::uint32_t& last = last_of(taken.slot);
    expect(taken.generation % 2 == 1 && taken.generation > last, "a slot's generation grows");
    last = taken.generation;
    for (const Entry& other : entries_) {
      if (&other == &entry || other.bytes.data() == nullptr) continue;
      expect(taken.slot + size <= other.bytes.data() || other.bytes.data() + other.bytes.size() <= taken.slot,
             "two slots overlap");
    }
  }

  void give_back(Entry& entry) {
    if (entry.bytes.data() == nullptr) return;
    if (!has_pattern(entry.bytes, entry.pattern)) damaged_ = true;
    if (entry.generation == last_generation()) ++retired_;
    note_returned(entry.bytes.data(), entry.generation);
    slab_.release(entry.bytes.data());
    ++ledger_.values_destroyed;
    --live_;
    entry = Entry{};
    if (damaged_) ++ledger_.values_made;  // never balanced: also seen when this runs in the destructor
  }

  Ledger& ledger_;
  const detail::SlabOptions options_;
  detail::Slab slab_;
  std::array<Entry, SlabModel::entry_count> entries_{};
  std::vector<std::pair<const std::byte*, std::uint32_t>> generations_;  // by address
  std::vector<std::pair<const std::byte*, std::uint32_t>> returned_;     // the newest
  std::size_t live_ = 0;
  std::size_t abandoned_ = 0;
  std::size_t retired_ = 0;
  unsigned patterns_ = 0;
  bool damaged_ = false;
};

}  // namespace assay::testkit
