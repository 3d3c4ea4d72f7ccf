// Pin-like cells, on one thread: Pinned<T> holds a T that cannot move; PinCell<T> lends a T out, one writer or many readers,
// checked when it happens; PinRc<T> and PinWeak<T> share one pinned T.
//
// Rule of PinCell: `borrows_` is 0 (free), n > 0 (n readers) or -1 (one writer), and each guard alive accounts for its part.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "assay/audited/pin.hpp"
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

}  // namespace assay
