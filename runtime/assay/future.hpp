// What a future is: something that can be polled until it is Ready.
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>

#include "assay/audited/context.hpp"
#include "assay/poll.hpp"

namespace assay {

// A Future
//  - is lazy: it does nothing before its first poll;
//  - keeps its address from its first poll on, and is never polled again after Ready (assay's own futures abort then);
//  - when Pending, has kept a copy of the *latest* context's waker, and wakes it once when a poll can make progress;
//  - allows extra polls at any time: being polled does not mean being woken;
//  - is cancelled by destroying it, and its destructor does not throw.
template <class F>
concept Future = std::is_nothrow_destructible_v<F> && requires(F& future, Context& context) {
  typename F::Output;
  { future.poll(context) } -> std::same_as<Poll<typename F::Output>>;
};

namespace detail {

// In the poll of a future that is made of others: ends them, unless the poll ends with pending(). Also when one has thrown.
template <class Parts>
class EndUnlessPending {
 public:
  explicit EndUnlessPending(std::optional<Parts>& parts) noexcept : parts_(parts) {}
  EndUnlessPending(const EndUnlessPending&) = delete;
  EndUnlessPending& operator=(const EndUnlessPending&) = delete;
  ~EndUnlessPending() {
    if (!is_pending_) parts_.reset();
  }

  PendingType pending() noexcept {
    is_pending_ = true;
    return Pending;
  }

 private:
  std::optional<Parts>& parts_;
  bool is_pending_ = false;
};

}  // namespace detail

// What assay's futures that link themselves somewhere say when they are moved too late.
inline constexpr const char* moved_after_poll = "a future was moved after its first poll";

// The futures of assay that stay Ready-once check it with this message.
inline constexpr const char* polled_after_ready = "a future was polled again after it was Ready";

}  // namespace assay
