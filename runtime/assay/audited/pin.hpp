// Purpose: pin-like cells. Pinned<T> holds a T that cannot move. PinCell<T> lends a T out, one writer or many readers,
//   checked when it happens. PinRc<T> and PinWeak<T> share one pinned T on one thread.
// Thread rules: the thread that made it.
// Invariants:
//  (1) PinCell: `borrows` is 0 (free), n > 0 (n readers) or -1 (one writer), and each guard alive accounts for its part.
//  (2) PinRc: `strong` counts PinRcs; `weak` counts PinWeaks, and one more for all PinRcs together. The value lives while
//      strong > 0, the block while weak > 0. Counters abort before they wrap.
//  (3) The value is destroyed before the weak reference of the strong group is given up: its destructor may use PinWeaks
//      to itself, which find it gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"
#include "assay/audited/current.hpp"
#include "assay/audited/poison.hpp"
#include "assay/audited/slot.hpp"

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
 public:
  template <class... Args>
  explicit PinCell(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
  ~PinCell() { ASSAY_CHECK(borrows_ == 0, "a PinCell was destroyed while something of it was borrowed"); }
  PinCell(const PinCell&) = delete;
  PinCell& operator=(const PinCell&) = delete;

  class Writer {
   public:
    explicit Writer(PinCell& cell) noexcept : cell_(&cell) {
      ASSAY_CHECK(cell.borrows_ == 0, "PinCell::borrow_mut while something of the cell is borrowed already");
      cell.borrows_ = -1;
    }
    Writer(Writer&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    Writer& operator=(Writer&&) = delete;
    ~Writer() {
      if (cell_ == nullptr) return;
      ASSAY_ASSERT(cell_->borrows_ == -1, "internal: a PinCell's writer was not counted");
      cell_->borrows_ = 0;
    }
    T& operator*() const noexcept ASSAY_LIFETIMEBOUND { return target(); }
    T* operator->() const noexcept ASSAY_LIFETIMEBOUND { return &target(); }

   private:
    T& target() const noexcept {
      ASSAY_CHECK(cell_ != nullptr, "a moved-from PinCell::Writer was used");
      return cell_->value_;
    }
    PinCell* cell_;
  };

  class Reader {
   public:
    explicit Reader(PinCell& cell) noexcept : cell_(&cell) {
      ASSAY_CHECK(cell.borrows_ >= 0, "PinCell::borrow while the cell is borrowed for writing");
      ASSAY_CHECK(cell.borrows_ < std::numeric_limits<Count>::max(), "too many readers of one PinCell");
      ++cell.borrows_;
    }
    Reader(Reader&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    Reader& operator=(Reader&&) = delete;
    ~Reader() {
      if (cell_ == nullptr) return;
      ASSAY_ASSERT(cell_->borrows_ > 0, "internal: a PinCell's reader was not counted");
      --cell_->borrows_;
    }
    const T& operator*() const noexcept ASSAY_LIFETIMEBOUND { return target(); }
    const T* operator->() const noexcept ASSAY_LIFETIMEBOUND { return &target(); }

   private:
    const T& target() const noexcept {
      ASSAY_CHECK(cell_ != nullptr, "a moved-from PinCell::Reader was used");
      return cell_->value_;
    }
    PinCell* cell_;
  };

  // Aborts when anything of the cell is borrowed.
  [[nodiscard]] Writer borrow_mut() noexcept ASSAY_LIFETIMEBOUND { return Writer(*this); }
  // Aborts when the cell is borrowed for writing.
  [[nodiscard]] Reader borrow() noexcept ASSAY_LIFETIMEBOUND { return Reader(*this); }

  bool is_borrowed() const noexcept { return borrows_ != 0; }
  bool is_borrowed_mut() const noexcept { return borrows_ < 0; }

  void check_deep() const noexcept { ASSAY_CHECK(borrows_ >= -1, "internal: a PinCell's counter is broken"); }

 private:
  Count borrows_ = 0;
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
    // SAFETY(P1): the block is owned by the PinRc that is returned, or freed here if T's constructor throws.
    Block* const block = new Block;
    try {
      block->value.construct(std::forward<Args>(args)...);
    } catch (...) {
      // SAFETY(P1): nobody else has seen the block.
      delete block;
      throw;
    }
    return PinRc(block);
  }

  PinRc(const PinRc& other) noexcept : block_(other.block_) { add(block().strong); }
  PinRc(PinRc&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  PinRc& operator=(PinRc other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~PinRc() {
    if (block_ == nullptr) return;
    Block& mine = block();
    ASSAY_ASSERT(mine.strong > 0 && mine.weak > 0, broken);
    if (--mine.strong != 0) return;
    // SAFETY(P2): the last PinRc ends the value's life once (invariant 2); the group's weak reference keeps the block.
    mine.value.destroy();
    audited::poison(mine.value.address(), sizeof(T));
    release_weak(block_);
  }

  // SAFETY(P3): strong > 0, since this PinRc counts; so the value lives.
  T& operator*() const noexcept { return block().value.get(); }
  T* operator->() const noexcept { return &**this; }

  // After a move out of this object.
  bool is_empty() const noexcept { return block_ == nullptr; }

  std::size_t strong_count() const noexcept { return block().strong; }
  std::size_t weak_count() const noexcept { return block().weak - std::size_t{1}; }

  void check_deep() const noexcept { ASSAY_CHECK(block().strong > 0 && block().weak > 0, broken); }

 private:
  friend class PinWeak<T, Count>;

  static constexpr const char* broken = "internal: a PinRc's counters are broken";

  struct Block {
    Count strong = 1;
    Count weak = 1;
    std::uint64_t owner = audited::current_thread_id();
    audited::Slot<T> value;
  };

  explicit PinRc(Block* block) noexcept : block_(block) {}

  Block& block() const noexcept {
    ASSAY_CHECK(block_ != nullptr, "a moved-from PinRc was used");
    ASSAY_CHECK(block_->owner == audited::current_thread_id(), "a PinRc was used on another thread than the one that made it");
    return *block_;
  }

  static void add(Count& count) noexcept {
    ASSAY_CHECK(count < std::numeric_limits<Count>::max(), "too many PinRc or PinWeak of one object");
    ++count;
  }

  static void release_weak(Block* block) noexcept {
    ASSAY_CHECK(block->owner == audited::current_thread_id(), "a PinWeak was used on another thread than the one that made it");
    ASSAY_ASSERT(block->weak > 0, broken);
    if (--block->weak != 0) return;
    ASSAY_ASSERT(block->strong == 0, broken);
    audited::unpoison(block->value.address(), sizeof(T));
    // SAFETY(P1): no PinRc and no PinWeak is left (invariant 2): freed once.
    delete block;
  }

  Block* block_;
};

// A reference that does not keep the T alive.
template <class T, class Count = std::uint32_t>
class PinWeak {
 public:
  PinWeak() noexcept = default;
  explicit PinWeak(const PinRc<T, Count>& strong) noexcept : block_(&strong.block()) { Rc::add(block_->weak); }
  PinWeak(const PinWeak& other) noexcept : block_(other.block_) {
    if (block_ == nullptr) return;
    check_thread();
    Rc::add(block_->weak);
  }
  PinWeak(PinWeak&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  PinWeak& operator=(PinWeak other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~PinWeak() {
    if (block_ != nullptr) Rc::release_weak(block_);
  }

  bool expired() const noexcept {
    if (block_ != nullptr) check_thread();
    return block_ == nullptr || block_->strong == 0;
  }

  // The object; aborts if it is gone: ask expired() first.
  PinRc<T, Count> upgrade() const noexcept {
    ASSAY_CHECK(!expired(), "PinWeak::upgrade of an object that is gone; ask expired() first");
    Rc::add(block_->strong);
    return Rc(block_);
  }

 private:
  using Rc = PinRc<T, Count>;

  void check_thread() const noexcept {
    ASSAY_CHECK(block_->owner == audited::current_thread_id(), "a PinWeak was used on another thread than the one that made it");
  }

  typename Rc::Block* block_ = nullptr;
};

}  // namespace assay
