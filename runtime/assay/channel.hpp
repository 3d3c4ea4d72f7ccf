// channel: a bounded queue, from any number of senders to one receiver, all tasks of one executor.
//
//   auto [sender, receiver] = channel<int>(16);
//   bool taken = co_await sender.send(1);               // waits while 16 are in the queue
//   std::optional<int> next = co_await receiver.recv();  // empty when all senders are gone and the queue is empty
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "assay/audited/current.hpp"
#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/future.hpp"
#include "assay/pin.hpp"

namespace assay {

namespace detail {

template <class T>
class ChannelState;

// Keeps a channel open for sending, and its state in memory.
template <class T>
class SendingEnd {
 public:
  explicit SendingEnd(ChannelState<T>& state) noexcept : state_(&state) { state.begin_sending(); }
  SendingEnd(const SendingEnd& other) noexcept : SendingEnd(other.state()) {}
  SendingEnd(SendingEnd&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  SendingEnd& operator=(SendingEnd other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~SendingEnd() {
    if (state_ != nullptr) state_->end_sending();
  }
  ChannelState<T>& state() const noexcept {
    ASSAY_CHECK(state_ != nullptr, "a Sender was used after it was moved from");
    return *state_;
  }

 private:
  ChannelState<T>* state_;
};

// Keeps a channel's state in memory, for who receives.
template <class T>
class ReceivingEnd {
 public:
  explicit ReceivingEnd(ChannelState<T>& state) noexcept : state_(&state) { state.begin_receiving(); }
  ReceivingEnd(const ReceivingEnd& other) noexcept : ReceivingEnd(other.state()) {}
  ReceivingEnd(ReceivingEnd&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  ReceivingEnd& operator=(ReceivingEnd&& other) = delete;
  ~ReceivingEnd() {
    if (state_ != nullptr) state_->end_receiving();
  }
  bool is_empty() const noexcept { return state_ == nullptr; }
  ChannelState<T>& state() const noexcept {
    ASSAY_CHECK(state_ != nullptr, "a Receiver was used after it was moved from");
    return *state_;
  }
  void swap(ReceivingEnd& other) noexcept { std::swap(state_, other.state_); }

 private:
  ChannelState<T>* state_;
};

// A sender in line: its value goes into the queue in its turn, whoever takes the item before it.
template <class T>
class [[nodiscard]] ChannelSend : public audited::ListNode<ChannelSend<T>> {
 public:
  using Output = bool;
  ChannelSend(SendingEnd<T> channel, T value) noexcept : channel_(std::move(channel)), value_(std::move(value)) {}
  ChannelSend(ChannelSend&& other) noexcept : channel_(std::move(other.channel_)), value_(std::move(other.value_)) {
    ASSAY_CHECK(other.stage_ == Stage::fresh, moved_after_poll);
  }
  ChannelSend& operator=(ChannelSend&&) = delete;
  ASSAY_HOT ~ChannelSend() {
    if (this->is_linked()) this->unlink();  // before the value and the waker go, whose ends may run code that receives
  }

  ASSAY_RUNS_OTHERS Poll<bool> poll(Context& context) ASSAY_NONBLOCKING;

 private:
  friend class ChannelState<T>;
  enum class Stage : std::uint8_t { fresh, waiting, accepted, refused, done };

  ASSAY_RUNS_OTHERS Poll<bool> poll_in_line(Context& context) ASSAY_NONBLOCKING;

  SendingEnd<T> channel_;  // until the value is in the queue
  T value_;
  LocalWaker waker_;
  Stage stage_ = Stage::fresh;
};

template <class T>
class [[nodiscard]] ChannelRecv : public audited::ListNode<ChannelRecv<T>> {
 public:
  using Output = std::optional<T>;
  explicit ChannelRecv(const ReceivingEnd<T>& channel) noexcept : channel_(channel) {}
  ChannelRecv(ChannelRecv&& other) noexcept : channel_(std::move(other.channel_)) {
    ASSAY_CHECK(!other.started_, moved_after_poll);
  }
  ChannelRecv& operator=(ChannelRecv&&) = delete;
  ASSAY_HOT ~ChannelRecv() {
    if (this->is_linked()) this->unlink();  // before the waker goes, whose end may run code that sends
    // Woken for an item that it did not take: another may wait for it.
    if (woken_ && !done_) channel_.state().wake_receiver();
  }

  ASSAY_RUNS_OTHERS Poll<std::optional<T>> poll(Context& context) ASSAY_NONBLOCKING;

 private:
  friend class ChannelState<T>;

  bool has_come(ChannelState<T>& state, Context& context);

  ReceivingEnd<T> channel_;
  LocalWaker waker_;
  bool started_ = false;
  bool woken_ = false;
  bool done_ = false;
};

// One thread. Counts its users, and keeps itself while there are any: that costs less than a PinRc for each.
template <class T>
class ChannelState {
 public:
  explicit ChannelState(std::size_t capacity) : ring_(capacity) {}

  static PinRc<ChannelState> make(std::size_t capacity) {
    PinRc<ChannelState> made = PinRc<ChannelState>::make(capacity);
    made->self_.emplace(made);
    return made;
  }

  void begin_sending() noexcept {
    check_owner();
    ++open_senders;
  }
  ASSAY_RUNS_OTHERS void end_sending() noexcept ASSAY_NONBLOCKING {
    check_owner();
    if (--open_senders == 0) ASSAY_UNCHECKED(sender_gone());  // wakes, and may be the end
  }
  void begin_receiving() noexcept {
    check_owner();
    ++receivers_here_;
  }
  ASSAY_RUNS_OTHERS void end_receiving() noexcept ASSAY_NONBLOCKING {
    check_owner();
    if (--receivers_here_ == 0 && open_senders == 0) ASSAY_UNCHECKED(end());
  }

  bool is_full() const noexcept { return count_ == ring_.size() || !senders_.empty(); }
  bool is_empty() const noexcept { return count_ == 0; }
  // Nothing to receive yet, and something may come.
  bool must_wait() const noexcept { return is_empty() && open_senders != 0 && receiver_open; }

  void push(T value) {
    std::optional<T>& place = ASSAY_UNCHECKED(ring_.at(wrapped(first_ + count_)));
    ASSAY_UNCHECKED(place.emplace(std::move(value)));
    ++count_;
    if (!receivers_.empty()) wake_receiver();
  }

  T pop() {
    std::optional<T>& place = ASSAY_UNCHECKED(ring_.at(first_));
    T item = std::move(*place);
    place.reset();
    first_ = wrapped(first_ + 1);
    --count_;
    if (!senders_.empty()) accept_first();
    return item;
  }

  void wake_receiver() {
    if (must_wait()) return;
    if (ChannelRecv<T>* const first = receivers_.pop_front()) {
      first->woken_ = true;
      std::exchange(first->waker_, LocalWaker()).wake();
    }
  }

  void receiver_gone() {
    check_owner();
    receiver_open = false;
    while (ChannelSend<T>* const next = senders_.pop_front()) {
      next->stage_ = ChannelSend<T>::Stage::refused;
      std::exchange(next->waker_, LocalWaker()).wake();
    }
    while (!is_empty()) static_cast<void>(pop());
    while (!receivers_.empty()) wake_receiver();
  }

  void wait(ChannelSend<T>& send) noexcept { senders_.push_back(send); }
  void wait(ChannelRecv<T>& recv) noexcept { receivers_.push_back(recv); }

  std::size_t size() const noexcept { return count_; }

  std::size_t open_senders = 0;
  bool receiver_open = true;

 private:
  void check_owner() const noexcept {
    ASSAY_CHECK(owner_ == audited::current_thread_id(), "a channel was used on another thread than the one that made it");
  }

  void sender_gone() noexcept {
    const PinRc<ChannelState> kept = *self_;  // what the wakers run may be the end of the last receiver
    while (!receivers_.empty()) wake_receiver();
    if (receivers_here_ == 0 && open_senders == 0) end();
  }
  // Nobody is left; this object is gone when it returns, unless the caller keeps it.
  void end() noexcept {
    const std::optional<PinRc<ChannelState>> last = std::exchange(self_, std::nullopt);
  }

  // A place in the ring, from a number less than twice its size.
  std::size_t wrapped(std::size_t place) const noexcept { return place < ring_.size() ? place : place - ring_.size(); }

  // There is room: the first sender in line puts its value into the queue.
  void accept_first() {
    ChannelSend<T>& next = *senders_.pop_front();
    next.stage_ = ChannelSend<T>::Stage::accepted;
    LocalWaker waker = std::exchange(next.waker_, LocalWaker());
    const SendingEnd<T> sent = std::move(next.channel_);
    push(std::move(next.value_));
    std::move(waker).wake();
  }

  std::size_t receivers_here_ = 0;
  const std::uint64_t owner_ = audited::current_thread_id();
  std::optional<PinRc<ChannelState>> self_;
  std::vector<std::optional<T>> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  audited::IntrusiveList<ChannelSend<T>> senders_;
  audited::IntrusiveList<ChannelRecv<T>> receivers_;
};

template <class T>
ASSAY_HOT Poll<bool> ChannelSend<T>::poll(Context& context) ASSAY_NONBLOCKING {
  if (stage_ != Stage::fresh) return poll_in_line(context);
  ChannelState<T>& state = channel_.state();
  if (!state.receiver_open) {
    stage_ = Stage::done;
    return Ready(false);
  }
  if (state.is_full()) return poll_in_line(context);
  stage_ = Stage::done;
  const SendingEnd<T> sent = std::move(channel_);
  state.push(std::move(value_));
  return Ready(true);
}

template <class T>
Poll<bool> ChannelSend<T>::poll_in_line(Context& context) ASSAY_NONBLOCKING {
  ASSAY_CHECK(stage_ != Stage::done, polled_after_ready);
  if (stage_ == Stage::fresh) {
    stage_ = Stage::waiting;
    channel_.state().wait(*this);
  }
  if (stage_ == Stage::waiting) {
    // Copying or dropping a waker may run code that receives: the line is joined before, and looked at after.
    if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
    if (stage_ == Stage::waiting) return Pending;
    waker_ = LocalWaker();
  }
  return Ready(std::exchange(stage_, Stage::done) == Stage::accepted);
}

template <class T>
ASSAY_HOT Poll<std::optional<T>> ChannelRecv<T>::poll(Context& context) ASSAY_NONBLOCKING {
  ASSAY_CHECK(!done_, polled_after_ready);
  ChannelState<T>& state = channel_.state();
  if ((started_ || state.must_wait()) && !has_come(state, context)) return Pending;
  started_ = true;
  done_ = true;
  if (state.is_empty()) return Ready(std::optional<T>());
  return Ready(std::optional<T>(state.pop()));
}

// True: there is something to receive, or nothing will come. False: it waits, with the waker of this poll.
template <class T>
bool ChannelRecv<T>::has_come(ChannelState<T>& state, Context& context) {
  started_ = true;
  if (state.must_wait()) {
    woken_ = false;
    if (!this->is_linked()) state.wait(*this);
    // Copying or dropping a waker may run code that sends: the line is joined before, and looked at after.
    if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
    if (state.must_wait()) {
      if (!this->is_linked()) state.wait(*this);
      return false;
    }
  }
  if (this->is_linked()) this->unlink();
  waker_ = LocalWaker();
  return true;
}

}  // namespace detail

// Copyable: the channel closes when the last copy is gone, and all that was begun to send is in the queue or dropped. The executor's thread only.
template <class T>
class Sender {
 public:
  explicit Sender(detail::ChannelState<T>& state) noexcept : channel_(state) {}

  // A Future of whether the value went into the queue; false when the receiver is gone. First come, first served.
  detail::ChannelSend<T> send(T value) { return detail::ChannelSend<T>(channel_, std::move(value)); }

  // Without waiting, and never past those who wait: the value again if it could not go in.
  ASSAY_RUNS_OTHERS std::optional<T> try_send(T value) ASSAY_NONBLOCKING {
    detail::ChannelState<T>& state = channel_.state();
    if (!state.receiver_open || state.is_full()) return std::optional<T>(std::move(value));
    state.push(std::move(value));
    return std::nullopt;
  }

  bool is_closed() const noexcept { return !channel_.state().receiver_open; }

 private:
  detail::SendingEnd<T> channel_;
};

// The executor's thread only. Dropping it refuses all who wait to send, and drops what is in the queue; a recv() that is still
// there gets nothing.
template <class T>
class Receiver {
 public:
  explicit Receiver(detail::ChannelState<T>& state) noexcept : channel_(state) {}
  Receiver(Receiver&&) noexcept = default;
  Receiver& operator=(Receiver&& other) noexcept {
    Receiver taken(std::move(other));  // the channel that was received from before closes now
    channel_.swap(taken.channel_);
    return *this;
  }
  ~Receiver() {
    if (!channel_.is_empty()) channel_.state().receiver_gone();
  }

  // A Future of the next item; of nothing, when all senders are gone and the queue is empty.
  detail::ChannelRecv<T> recv() { return detail::ChannelRecv<T>(channel_); }

  ASSAY_RUNS_OTHERS std::optional<T> try_recv() ASSAY_NONBLOCKING {
    detail::ChannelState<T>& state = channel_.state();
    if (state.is_empty()) return std::nullopt;
    return state.pop();
  }

  std::size_t size() const noexcept { return channel_.state().size(); }

 private:
  detail::ReceivingEnd<T> channel_;
};

// A queue of at most `capacity` items (at least 1). One allocation for the state, one for the queue.
template <class T>
std::pair<Sender<T>, Receiver<T>> channel(std::size_t capacity) {
  ASSAY_CHECK(capacity > 0, "channel() was given a capacity of 0; it must be at least 1");
  const auto state = detail::ChannelState<T>::make(capacity);
  return {Sender<T>(*state), Receiver<T>(*state)};
}

}  // namespace assay
