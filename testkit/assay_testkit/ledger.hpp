// Exact counters as the oracle: every test value, future and waker counts its births and deaths in one Ledger.
#pragma once

#include <cstdint>
#include <string>

namespace assay::testkit {

struct Ledger {
  // wakers of a CountingWaker (see counting_waker.hpp)
  std::uint64_t wakes = 0;   // by value or by reference
  std::uint64_t clones = 0;  // not counting the first
  std::uint64_t drops = 0;   // a wake by value is also a drop
  // futures
  std::uint64_t futures_made = 0;
  std::uint64_t futures_destroyed = 0;
  std::uint64_t polls = 0;
  // values
  std::uint64_t values_made = 0;  // by any constructor
  std::uint64_t values_destroyed = 0;

  std::uint64_t futures_alive() const noexcept { return futures_made - futures_destroyed; }
  std::uint64_t values_alive() const noexcept { return values_made - values_destroyed; }

  // Empty when everything that was made is gone; says what is left otherwise.
  std::string leftovers() const {
    std::string text;
    if (futures_alive() != 0) text += std::to_string(futures_alive()) + " futures alive; ";
    if (values_alive() != 0) text += std::to_string(values_alive()) + " values alive; ";
    return text;
  }
};

// A value that counts itself. Movable, not copyable; a moved-from one says so.
class Counted {
 public:
  Counted(Ledger& ledger, int value) noexcept : ledger_(&ledger), value_(value) { ++ledger_->values_made; }
  Counted(Counted&& other) noexcept : ledger_(other.ledger_), value_(other.value_) {
    ++ledger_->values_made;
    other.value_ = moved_from;
  }
  Counted& operator=(Counted&& other) noexcept {
    value_ = other.value_;
    other.value_ = moved_from;
    return *this;
  }
  ~Counted() { ++ledger_->values_destroyed; }

  int value() const noexcept { return value_; }

  static constexpr int moved_from = -1;

 private:
  Ledger* ledger_;
  int value_;
};

}  // namespace assay::testkit
