// Purpose: room for one object whose life begins and ends by hand.
// Thread rules: those of the object.
// Invariants:
//  (1) The owner of the slot knows whether it is full; at hardening level 3 the slot knows too, and checks.
//  (2) The slot's own constructor and destructor neither begin nor end the object's life.
#pragma once

#include <memory>
#include <utility>

#include "assay/base/check.hpp"

namespace assay::audited {

template <class T>
class Slot {
 public:
  // SAFETY(S1): a union member: nothing is constructed here; construct() begins the life.
  Slot() noexcept {}
  // SAFETY(S1): nothing is destroyed here; destroy() ended the life, which level 3 checks.
  ~Slot() { ASSAY_DEBUG_ASSERT(!full(), "internal: a slot went away with an object in it"); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  template <class... Args>
  T& construct(Args&&... args) {
    ASSAY_DEBUG_ASSERT(!full(), "internal: a second object was constructed in a full slot");
    // SAFETY(S2): the slot is empty (invariant 1) and the union has T's size and alignment.
    T* const made = std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
    mark(true);
    return *made;
  }

  // SAFETY(S3): the slot is full (invariant 1).
  T& get() noexcept {
    ASSAY_DEBUG_ASSERT(full(), "internal: an empty slot was read");
    return value_;
  }
  // SAFETY(S3): the slot is full (invariant 1).
  const T& get() const noexcept {
    ASSAY_DEBUG_ASSERT(full(), "internal: an empty slot was read");
    return value_;
  }

  // Where the object is, was, or will be.
  T* address() noexcept { return std::addressof(value_); }

  void destroy() noexcept {
    ASSAY_DEBUG_ASSERT(full(), "internal: the object in a slot was destroyed twice");
    mark(false);
    // SAFETY(S4): the slot was full (invariant 1) and is empty from here on.
    std::destroy_at(std::addressof(value_));
  }

 private:
#if ASSAY_HARDENING_LEVEL >= 3
  bool full() const noexcept { return full_; }
  void mark(bool full) noexcept { full_ = full; }
  bool full_ = false;
#else
  void mark(bool) noexcept {}
#endif

  // SAFETY(S1): a union, so that the life of value_ is begun and ended by hand.
  union {
    T value_;
  };
};

}  // namespace assay::audited
