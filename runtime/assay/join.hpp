// join(a, b, ...): all of them, at the same time, in one task.
//
//   auto [x, y] = co_await join(fetch(1), fetch(2));
#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "assay/future.hpp"

namespace assay {

namespace detail {

// A future until it is Ready, then its value.
template <Future F>
class MaybeDone {
 public:
  template <class G>
  explicit MaybeDone(std::in_place_t, G&& future) : future_(std::in_place, std::forward<G>(future)) {}

  // True: the value is there.
  bool poll(Context& context) {
    if (value_) return true;
    Poll<typename F::Output> result = future_->poll(context);
    if (result.is_pending()) return false;
    value_.emplace(std::move(result).take_stored());
    future_.reset();
    return true;
  }

  Stored<typename F::Output> take() { return std::move(*value_); }

 private:
  std::optional<F> future_;
  std::optional<Stored<typename F::Output>> value_;
};

}  // namespace detail

// Ready when all are. Each poll polls all that are not done. What one throws is thrown at once, and all others are destroyed
// then.
template <Future... F>
class [[nodiscard]] Join {
 public:
  using Output = std::tuple<Stored<typename F::Output>...>;

  template <class... G>
  explicit Join(std::in_place_t, G&&... futures) : parts_(std::in_place, detail::MaybeDone<F>(std::in_place, std::forward<G>(futures))...) {}

  Poll<Output> poll(Context& context) {
    ASSAY_CHECK(parts_.has_value(), polled_after_ready);
    detail::EndUnlessPending end(parts_);
    const bool all = std::apply([&](auto&... part) { return (static_cast<int>(part.poll(context)) & ... & 1) != 0; }, *parts_);
    if (!all) return end.pending();
    return Ready(std::apply([](auto&... part) { return Output(part.take()...); }, *parts_));
  }

 private:
  std::optional<std::tuple<detail::MaybeDone<F>...>> parts_;
};

// A tuple of the values: Unit for void, a reference_wrapper for a reference.
// (By value, so that compilers see, and refuse, a coroutine whose arguments will be gone.)
template <Future... F>
Join<F...> join(F... futures ASSAY_LIFETIMEBOUND) {
  return Join<F...>(std::in_place, std::move(futures)...);
}

}  // namespace assay
