// Purpose: pin-like cells. Pinned<T> holds a T that cannot move. PinCell<T> lends a T out, one writer or many readers, checked
//   when it happens. PinRc<T> and PinWeak<T> share one pinned T.
// Thread rules: the thread that made it, and no other; PinRc and PinWeak check each use, but for moves.
// Invariants:
//  (1) `strong` counts PinRcs; `weak` counts PinWeaks, and one more for all PinRcs together. The value lives while strong > 0,
//      the block while weak > 0. Counters abort before they wrap.
//  (2) PinCell: `borrows` is 0 (free), n > 0 (n readers) or -1 (one writer), and each guard alive accounts for its part.
//  (3) The value is destroyed before the weak reference of the strong group is given up: its destructor may use PinWeaks
//      to itself, which find it gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#include "assay/audited/current.hpp"
#include "assay/audited/poison.hpp"
#include "assay/audited/slot.hpp"
#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"

namespace assay {

// Holds a T at one address for life.
template <class T>
class Pinned {
 public:
  template <class... Args>
  explicit Pinned(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  T& get() noexcept ASSAY_LIFETIMEBOUND { return value_; }
  const T& get() const noexcept ASSAY_LIFETIMEBOUND { return value_; }
  T* operator->() noexcept ASSAY_LIFETIMEBOUND { return &value_; }
  T& operator*() noexcept ASSAY_LIFETIMEBOUND { return value_; }

 private:
  T value_;
};

// A T that is lent out under a check: any number of readers, or one writer. `Count` is narrow only in tests.
template <class T, class Count = std::int32_t>
class PinCell {
  // A borrow, for as long as it lives.
  template <bool is_writer>
  class Guard {
   public:
    using Access = std::conditional_t<is_writer, T, const T>;

    explicit Guard(PinCell& cell) noexcept : cell_(&cell) { cell.begin(is_writer); }
    Guard(Guard&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (cell_ != nullptr) cell_->end(is_writer);
    }
    Access& operator*() const noexcept ASSAY_LIFETIMEBOUND { return target(); }
    Access* operator->() const noexcept ASSAY_LIFETIMEBOUND { return &target(); }

   private:
    Access& target() const noexcept {
      ASSAY_CHECK(cell_ != nullptr,
                  is_writer ? "a moved-from PinCell::Writer was used" : "a moved-from PinCell::Reader was used");
      return cell_->value_;
    }
    PinCell* cell_;
  };

 public:
  using Writer = Guard<true>;
  using Reader = Guard<false>;

  template <class... Args>
  explicit PinCell(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
  ~PinCell() { ASSAY_CHECK(borrows_ == 0, "a PinCell was destroyed while something of it was borrowed"); }
  PinCell(const PinCell&) = delete;
  PinCell& operator=(const PinCell&) = delete;

  // Aborts when anything of the cell is borrowed.
  [[nodiscard]] Writer borrow_mut() noexcept ASSAY_LIFETIMEBOUND { return Writer(*this); }
  // Aborts when the cell is borrowed for writing.
  [[nodiscard]] Reader borrow() noexcept ASSAY_LIFETIMEBOUND { return Reader(*this); }

  bool is_borrowed() const noexcept { return borrows_ != 0; }
  bool is_borrowed_mut() const noexcept { return borrows_ < 0; }

  void check_deep() const noexcept { ASSAY_CHECK(borrows_ >= -1, "internal: a PinCell's counter is broken"); }

 private:
  void begin(bool is_writer) noexcept {
    if (is_writer) {
      ASSAY_CHECK(borrows_ == 0, "PinCell::borrow_mut while something of the cell is borrowed already");
      borrows_ = -1;
    } else {
      ASSAY_CHECK(borrows_ >= 0, "PinCell::borrow while the cell is borrowed for writing");
      ASSAY_CHECK(borrows_ < std::numeric_limits<Count>::max(), "too many readers of one PinCell");
      ++borrows_;
    }
  }
  void end(bool is_writer) noexcept {
    ASSAY_ASSERT(is_writer ? borrows_ == -1 : borrows_ > 0, "internal: a PinCell's borrow was not counted");
    borrows_ = is_writer ? Count{0} : static_cast<Count>(borrows_ - 1);
  }

  Count borrows_ = 0;  // 0: free; n > 0: n readers; -1: one writer
  T value_;
};

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
