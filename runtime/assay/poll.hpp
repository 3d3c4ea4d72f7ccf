// What a poll returns: Ready with a value, or Pending.
//
//   Poll<int> poll(Context&) { return done_ ? Poll<int>(Ready(42)) : Pending; }
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "assay/base/check.hpp"
#include "assay/base/stored.hpp"

namespace assay {

struct PendingType {};

// The future is not done: it has kept a waker, and will use it when a poll can make progress.
inline constexpr PendingType Pending{};

// The future is done. `Ready()` for void, `Ready(std::ref(x))` for a reference.
template <class T = void>
struct Ready {
  explicit Ready(T given) : value(std::move(given)) {}
  T value;
};
template <>
struct Ready<void> {
  Ready() = default;
};
Ready() -> Ready<void>;

template <class T>
class [[nodiscard]] Poll {
  static_assert(std::is_nothrow_destructible_v<Stored<T>>, "the destructor of what a future yields must not throw");

 public:
  Poll(PendingType) noexcept {}

  Poll(Ready<void>)
    requires std::is_void_v<T>
      : value_(std::in_place) {}

  template <class U>
    requires(!std::is_void_v<U> && std::is_constructible_v<Stored<T>, U>)
  Poll(Ready<U> ready) : value_(std::in_place, std::move(ready.value)) {}

  bool is_ready() const noexcept { return value_.has_value(); }
  bool is_pending() const noexcept { return !is_ready(); }

  // The value; aborts when Pending.
  T take() && {
    check_ready();
    if constexpr (std::is_reference_v<T>) {
      return value_->get();
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(*value_);
    }
  }

  // The value as an object: Unit for void, a reference_wrapper for a reference; aborts when Pending.
  Stored<T> take_stored() && {
    check_ready();
    return std::move(*value_);
  }

 private:
  void check_ready() const noexcept { ASSAY_CHECK(value_.has_value(), "the value of a Pending poll was taken"); }

  std::optional<Stored<T>> value_;
};

}  // namespace assay
