// A pointer to an object that must outlive it, and a count at the other end, so that breaking this rule aborts with a line.
// Used by futures that refer to what made them. One thread.
#pragma once

#include <cstddef>
#include <utility>

#include "assay/base/check.hpp"

namespace assay::detail {

// A base of what is lent. Its destructor checks is_lent(), with words of its own.
class Lender {
 public:
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

 protected:
  Lender() = default;
  ~Lender() = default;
  bool is_lent() const noexcept { return loans_ != 0; }

 private:
  template <class Owner>
  friend class Loan;
  std::size_t loans_ = 0;
};

template <class Owner>
class Loan {
 public:
  explicit Loan(Owner& owner) noexcept : owner_(&owner) { ++lender(owner).loans_; }
  Loan(Loan&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
  Loan& operator=(Loan&&) = delete;
  ~Loan() { end(); }

  Owner& operator*() const noexcept {
    ASSAY_CHECK(owner_ != nullptr, "a future was polled after it was moved from");
    return *owner_;
  }
  Owner* operator->() const noexcept { return &**this; }

  // The owner may go from here on.
  void end() noexcept {
    if (Owner* const owner = std::exchange(owner_, nullptr)) --lender(*owner).loans_;
  }

 private:
  static Lender& lender(Owner& owner) noexcept { return owner; }
  Owner* owner_;
};

}  // namespace assay::detail
