// Purpose: room for one object, of one of several types, whose life begins and ends by hand.
// Thread rules: those of the object.
// Invariants:
//  (1) At most one object lives in a slot. Its owner knows which; at hardening level 3 the slot knows too, and checks.
//  (2) The slot's own constructor and destructor neither begin nor end a life.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

#include "assay/audited/poison.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

template <class... Types>
class Slot {
  template <std::size_t Index>
  using At = std::tuple_element_t<Index, std::tuple<Types...>>;

 public:
  Slot() noexcept {}  // leaves the bytes as they are
  ~Slot() { ASSAY_DEBUG_ASSERT(held() == nothing, "internal: a slot went away with an object in it"); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  // Begins the life of an object of the Index-th type.
  // SAFETY(S1, M2): the slot is empty (invariant 1), and the bytes have the size and alignment of the largest type.
  template <std::size_t Index, class... Args>
  At<Index>& construct(Args&&... args) {
    ASSAY_DEBUG_ASSERT(held() == nothing, "internal: a second object was constructed in a full slot");
    reuse(bytes_.data(), sizeof(At<Index>));
    At<Index>& made = *std::construct_at(reinterpret_cast<At<Index>*>(bytes_.data()), std::forward<Args>(args)...);
    hold(Index);
    return made;
  }

  // SAFETY(S2): construct<Index> began the life of an At<Index> there, and destroy<Index> has not ended it (invariant 1).
  template <std::size_t Index>
  At<Index>& get() noexcept {
    ASSAY_DEBUG_ASSERT(held() == Index, "internal: an object was read that is not in its slot");
    return *std::launder(reinterpret_cast<At<Index>*>(bytes_.data()));
  }
  // SAFETY(S2): as for get() of a slot that is not const: the object lives, between construct<Index> and destroy<Index>.
  template <std::size_t Index>
  const At<Index>& get() const noexcept {
    ASSAY_DEBUG_ASSERT(held() == Index, "internal: an object was read that is not in its slot");
    return *std::launder(reinterpret_cast<const At<Index>*>(bytes_.data()));
  }

  // Ends the life that construct<Index> began.
  // SAFETY(S3): the object lives (get() checks what can be checked), and is gone for everybody from here on.
  template <std::size_t Index>
  void destroy() noexcept {
    At<Index>& object = get<Index>();
    hold(nothing);
    std::destroy_at(std::addressof(object));
  }

  // The bytes, for poisoning what is dead.
  std::byte* bytes() noexcept { return bytes_.data(); }

 private:
  static constexpr std::size_t nothing = sizeof...(Types);
#if ASSAY_HARDENING_LEVEL >= 3
  std::size_t held() const noexcept { return held_; }
  void hold(std::size_t index) noexcept { held_ = index; }
  std::size_t held_ = nothing;
#else
  void hold(std::size_t) noexcept {}
#endif

  alignas(Types...) std::array<std::byte, std::max({sizeof(Types)...})> bytes_;
};

}  // namespace assay::audited
