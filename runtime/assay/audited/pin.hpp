// Purpose: PinRc<T> and PinWeak<T> share one pinned T. (Pinned and PinCell, which need no unsafe operation: assay/pin.hpp.)
// Thread rules: the thread that made it, and no other; each use is checked, but for moves.
// Invariants:
//  (1) `strong` counts PinRcs; `weak` counts PinWeaks, and one more for all PinRcs together. The value lives while strong > 0,
//      the block while weak > 0. Counters abort before they wrap.
//  (2) The value is destroyed before the weak reference of the strong group is given up: its destructor may use PinWeaks
//      to itself, which find it gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "assay/audited/current.hpp"
#include "assay/audited/poison.hpp"
#include "assay/audited/slot.hpp"
#include "assay/base/check.hpp"

namespace assay {

template <class T, class Count>
class PinWeak;

// Shared ownership of one pinned T, on one thread. `Count` is narrow only in tests.
template <class T, class Count = std::uint32_t>
class PinRc {
 public:
  // One allocation. Throws std::bad_alloc, and what T's constructor throws.
  template <class... Args>
  static PinRc make(Args&&... args) {
    auto block = std::make_unique<Block>();
    block->value.template construct<0>(std::forward<Args>(args)...);
    return PinRc(block.release());
  }

  PinRc(const PinRc& other) noexcept : block_(&other.block()) { Block::add(block_->strong); }
  PinRc(PinRc&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  PinRc& operator=(PinRc other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~PinRc() {
    if (block_ != nullptr) block().release_strong();
  }

  T& operator*() const noexcept { return block().value.template get<0>(); }  // it is there: this PinRc counts
  T* operator->() const noexcept { return &**this; }

  // After a move out of this object.
  bool is_empty() const noexcept { return block_ == nullptr; }

  std::size_t strong_count() const noexcept { return block().strong; }
  std::size_t weak_count() const noexcept { return block().weak - std::size_t{1}; }

  void check_deep() const noexcept { ASSAY_CHECK(block().strong > 0 && block().weak > 0, broken); }

 private:
  friend class PinWeak<T, Count>;

  static constexpr const char* broken = "internal: a PinRc's counters are broken";

  // What PinRcs and PinWeaks point to.
  struct Block {
    Count strong = 1;
    Count weak = 1;
    const std::uint64_t owner = audited::current_thread_id();
    audited::Slot<T> value;

    static void add(Count& count) noexcept {
      ASSAY_CHECK(count < std::numeric_limits<Count>::max(), "too many PinRc or PinWeak of one object");
      ++count;
    }

    void release_strong() noexcept {
      ASSAY_ASSERT(strong > 0 && weak > 0, broken);
      if (--strong != 0) return;
      value.template destroy<0>();
      // SAFETY(M1): the value's life has just ended; the weak reference of all PinRcs keeps the block.
      audited::poison(value.bytes(), sizeof(T));
      release_weak();
    }

    void release_weak() noexcept {
      ASSAY_ASSERT(weak > 0, broken);
      if (--weak != 0) return;
      ASSAY_ASSERT(strong == 0, broken);
      // SAFETY(M2): nobody is left to use the block, which goes back to the system.
      audited::unpoison(value.bytes(), sizeof(T));
      // SAFETY(P1): made by make(); no PinRc and no PinWeak is left (invariant 1), so it is freed once.
      delete this;
    }
  };

  explicit PinRc(Block* block) noexcept : block_(block) {}

  Block& block() const noexcept {
    ASSAY_CHECK(block_ != nullptr, "a moved-from PinRc was used");
    ASSAY_CHECK(block_->owner == audited::current_thread_id(), "a PinRc was used on another thread than the one that made it");
    return *block_;
  }

  Block* block_;
};

// A reference that does not keep the T alive.
template <class T, class Count = std::uint32_t>
class PinWeak {
 public:
  PinWeak() noexcept = default;
  explicit PinWeak(const PinRc<T, Count>& strong) noexcept : block_(&strong.block()) { Block::add(block_->weak); }
  PinWeak(const PinWeak& other) noexcept : block_(other.checked_block()) {
    if (block_ != nullptr) Block::add(block_->weak);
  }
  PinWeak(PinWeak&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  PinWeak& operator=(PinWeak other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~PinWeak() {
    if (checked_block() != nullptr) block_->release_weak();
  }

  bool expired() const noexcept { return checked_block() == nullptr || block_->strong == 0; }

  // The object; aborts if it is gone: ask expired() first.
  PinRc<T, Count> upgrade() const noexcept {
    ASSAY_CHECK(!expired(), "PinWeak::upgrade of an object that is gone; ask expired() first");
    Block::add(block_->strong);
    return PinRc<T, Count>(block_);
  }

 private:
  using Block = typename PinRc<T, Count>::Block;

  Block* checked_block() const noexcept {
    ASSAY_CHECK(block_ == nullptr || block_->owner == audited::current_thread_id(),
                "a PinWeak was used on another thread than the one that made it");
    return block_;
  }

  Block* block_ = nullptr;
};

}  // namespace assay
