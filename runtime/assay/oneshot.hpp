// oneshot: one value, from one task to another of the same executor.
//
//   auto [sender, receiver] = oneshot<int>();
//   sender.send(42);
//   std::optional<int> answer = co_await receiver;   // empty if the sender was dropped
#pragma once

#include <optional>
#include <utility>

#include "assay/audited/raw_waker.hpp"
#include "assay/future.hpp"
#include "assay/pin.hpp"

namespace assay {

namespace detail {

template <class T>
struct OneshotState {
  std::optional<T> value;
  bool sender_gone = false;
  bool receiver_gone = false;
  LocalWaker receiver;
};

}  // namespace detail

template <class T>
class OneshotSender {
 public:
  explicit OneshotSender(PinRc<detail::OneshotState<T>> state) noexcept : state_(std::move(state)) {}
  OneshotSender(OneshotSender&&) noexcept = default;
  OneshotSender& operator=(OneshotSender&& other) noexcept {
    close();
    state_ = std::move(other.state_);
    return *this;
  }
  ~OneshotSender() { close(); }

  // Consumes the sender. False: the receiver is gone, and the value with it.
  bool send(T value) {
    ASSAY_CHECK(!state_.is_empty(), "a oneshot sender was used a second time");
    if (state_->receiver_gone) {
      close();
      return false;
    }
    state_->value.emplace(std::move(value));
    close();
    return true;
  }

  bool is_closed() const noexcept { return state_.is_empty() || state_->receiver_gone; }

 private:
  void close() noexcept {
    if (state_.is_empty()) return;
    PinRc<detail::OneshotState<T>> state = std::move(state_);
    state->sender_gone = true;
    std::exchange(state->receiver, LocalWaker()).wake();
  }

  PinRc<detail::OneshotState<T>> state_;
};

// A Future of the value; of nothing, if the sender was dropped.
template <class T>
class OneshotReceiver {
 public:
  using Output = std::optional<T>;
  explicit OneshotReceiver(PinRc<detail::OneshotState<T>> state) noexcept : state_(std::move(state)) {}
  OneshotReceiver(OneshotReceiver&&) noexcept = default;
  OneshotReceiver& operator=(OneshotReceiver&& other) noexcept {
    close();
    state_ = std::move(other.state_);
    done_ = other.done_;
    return *this;
  }
  ~OneshotReceiver() { close(); }

  Poll<std::optional<T>> poll(Context& context) {
    ASSAY_CHECK(!done_, polled_after_ready);
    if (!state_->sender_gone) {
      // Copying or dropping a waker may run code that sends.
      if (!state_->receiver.will_wake(context.local_waker())) state_->receiver = context.local_waker();
      if (!state_->sender_gone) return Pending;
      state_->receiver = LocalWaker();
    }
    done_ = true;
    return Ready(std::exchange(state_->value, std::nullopt));
  }

 private:
  void close() noexcept {
    if (state_.is_empty()) return;
    PinRc<detail::OneshotState<T>> state = std::move(state_);
    state->receiver_gone = true;
    const LocalWaker gone = std::move(state->receiver);
    state->value.reset();
  }

  PinRc<detail::OneshotState<T>> state_;
  bool done_ = false;
};

// One allocation.
template <class T>
std::pair<OneshotSender<T>, OneshotReceiver<T>> oneshot() {
  auto state = PinRc<detail::OneshotState<T>>::make();
  return {OneshotSender<T>(state), OneshotReceiver<T>(state)};
}

}  // namespace assay
