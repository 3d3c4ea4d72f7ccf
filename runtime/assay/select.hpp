// select(a, b, ...): the first of them; the others are cancelled.
//
//   auto first = co_await select(channel.recv(), sleep(1s));
//   if (first.index() == 1) ...  // the sleep
#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "assay/executor.hpp"
#include "assay/future.hpp"

namespace assay {

// Ready when one is, or throws; that moment all others are destroyed. Each poll polls each, until one is Ready: by turns, from a
// pseudo-random start (ExecutorOptions::seed), or, Biased, in the order of the list.
template <bool Biased, Future... F>
class [[nodiscard]] Select {
 public:
  using Output = std::variant<Stored<typename F::Output>...>;

  template <class... G>
  explicit Select(std::in_place_t, G&&... futures) : futures_(std::in_place, std::forward<G>(futures)...) {}

  Poll<Output> poll(Context& context) {
    ASSAY_CHECK(futures_.has_value(), polled_after_ready);
    detail::EndUnlessPending end(futures_);
    const std::size_t first = choose_first(context);
    std::optional<Output> output;
    for (std::size_t turn = 0; turn < sizeof...(F) && !output; ++turn) {
      poll_one((first + turn) % sizeof...(F), context, output, std::index_sequence_for<F...>());
    }
    if (!output) return end.pending();
    return Ready(std::move(*output));
  }

 private:
  std::size_t choose_first(Context& context) noexcept {
    if (Biased) return 0;
    if (!started_) {
      started_ = true;
      if (context.executor() != nullptr) next_ = context.executor()->random() % sizeof...(F);
    }
    const std::size_t first = next_;
    next_ = (next_ + 1) % sizeof...(F);
    return first;
  }

  template <std::size_t... Index>
  void poll_one(std::size_t which, Context& context, std::optional<Output>& output, std::index_sequence<Index...>) {
    static_cast<void>(((which == Index && (poll_at<Index>(context, output), true)) || ...));
  }

  template <std::size_t Index>
  void poll_at(Context& context, std::optional<Output>& output) {
    auto result = std::get<Index>(*futures_).poll(context);
    if (result.is_ready()) output.emplace(std::in_place_index<Index>, std::move(result).take_stored());
  }

  std::optional<std::tuple<F...>> futures_;
  std::size_t next_ = 0;
  bool started_ = false;
};

// A variant of the values: its index tells which future was first. Unit for void, a reference_wrapper for a reference.
// (By value, so that compilers see, and refuse, a coroutine whose arguments will be gone.)
template <Future... F>
  requires(sizeof...(F) > 0)
Select<false, F...> select(F... futures ASSAY_LIFETIMEBOUND) {
  return Select<false, F...>(std::in_place, std::move(futures)...);
}

// As select, but of several that are ready the first in the list wins.
template <Future... F>
  requires(sizeof...(F) > 0)
Select<true, F...> select_biased(F... futures ASSAY_LIFETIMEBOUND) {
  return Select<true, F...>(std::in_place, std::move(futures)...);
}

}  // namespace assay
