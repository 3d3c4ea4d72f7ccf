// threads::oneshot: one value, from any thread to any other.
//
//   auto [sender, receiver] = threads::oneshot<int>();
//   std::thread other([sender = std::move(sender)]() mutable { sender.send(42); });
//   std::optional<int> answer = co_await receiver;   // empty if the sender was dropped; outside a task: run(receiver)
//
// Each end belongs to one thread at a time, and may be moved to another. No code of T runs while a lock is held.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "assay/audited/raw_waker.hpp"
#include "assay/audited/sync.hpp"
#include "assay/base/attributes.hpp"
#include "assay/future.hpp"

namespace assay::threads {

namespace detail {

// What both ends share.
//  (1) Whoever leaves Stage::open says whose the value is: the receiver's at `sent`, else the sender's, as before.
//  (2) Wakers are copied, woken and dropped with no lock held.
template <class T>
class OneshotState {
 public:
  enum class Stage : std::uint8_t {
    open,
    sent,       // the sender is done, with a value or without
    closed,     // the receiver wants nothing any more
    abandoned,  // likewise, and the sender is not to hear of it
  };

  // ---- the sender's

  // For a value of the sender's; it is not sent yet.
  std::optional<T>& value() noexcept { return value_; }

  // The sender's last act. False: nobody will take the value, and it is gone.
  bool send() noexcept {
    Waker receiver;
    Waker sender;
    bool is_taken = false;
    {
      const audited::sync::Lock lock(mutex_);
      is_taken = stage_ == Stage::open;
      if (is_taken) stage_ = Stage::sent;
      std::swap(receiver, receiver_);
      std::swap(sender, sender_);
    }
    if (!is_taken) value_.reset();
    std::move(receiver).wake();
    return is_taken;
  }

  // True: `context` is woken when there is nobody left to send to. False: it is so already, or the value is sent.
  bool sender_waits(const Context& context) noexcept {
    Waker waker = context.waker();
    const audited::sync::Lock lock(mutex_);
    if (stage_ == Stage::sent || stage_ == Stage::closed) return false;
    std::swap(sender_, waker);
    return true;
  }

  // ---- the receiver's

  // True: `context` is woken when the sender is done. False: it is, or the receiver has closed.
  bool receiver_waits(const Context& context) noexcept {
    if (stage() != Stage::open) return false;
    Waker waker = context.waker();
    const audited::sync::Lock lock(mutex_);
    if (stage_ != Stage::open) return false;
    std::swap(receiver_, waker);
    return true;
  }

  // The receiver takes nothing any more that is not sent yet. `how`: closed or abandoned.
  void close(Stage how) noexcept {
    Waker receiver;
    Waker sender;
    {
      const audited::sync::Lock lock(mutex_);
      if (stage_ != Stage::open) return;
      stage_ = how;
      std::swap(receiver, receiver_);
      if (how == Stage::closed) std::swap(sender, sender_);
    }
    std::move(sender).wake();
  }

  // What was sent, once.
  std::optional<T> take() noexcept {
    return stage() == Stage::sent ? std::exchange(value_, std::nullopt) : std::nullopt;
  }

  // ---- both

  Stage stage() noexcept {
    const audited::sync::Lock lock(mutex_);
    return stage_;
  }

 private:
  std::optional<T> value_;  // rule 1
  audited::sync::Mutex mutex_;
  Stage stage_ ASSAY_GUARDED_BY(mutex_) = Stage::open;
  Waker receiver_ ASSAY_GUARDED_BY(mutex_);
  Waker sender_ ASSAY_GUARDED_BY(mutex_);
};

// A Future that is Ready when nobody waits for a sender's value any more.
template <class T>
class [[nodiscard]] OneshotClosed {
 public:
  using Output = void;
  explicit OneshotClosed(std::shared_ptr<OneshotState<T>> state) noexcept : state_(std::move(state)) {}
  Poll<void> poll(Context& context) {
    if (state_->sender_waits(context)) return Pending;
    return Ready();
  }
  bool is_ready() const noexcept { return state_->stage() == OneshotState<T>::Stage::closed; }
  bool is_abandoned() const noexcept { return state_->stage() == OneshotState<T>::Stage::abandoned; }

 private:
  std::shared_ptr<OneshotState<T>> state_;
};

}  // namespace detail

template <class T>
class OneshotSender {
 public:
  explicit OneshotSender(std::shared_ptr<detail::OneshotState<T>> state) noexcept : state_(std::move(state)) {}
  OneshotSender(OneshotSender&&) noexcept = default;
  OneshotSender& operator=(OneshotSender&& other) noexcept {
    OneshotSender taken(std::move(other));  // what was here before is dropped
    std::swap(state_, taken.state_);
    return *this;
  }
  ~OneshotSender() {
    if (state_ != nullptr) state_->send();  // nothing
  }

  // Consumes the sender. False: the receiver is gone, and the value with it.
  bool send(T value) {
    ASSAY_CHECK(state_ != nullptr, "a threads::oneshot sender was used a second time");
    state_->value().emplace(std::move(value));
    return std::exchange(state_, nullptr)->send();
  }

  // Whether a value would find nobody. Another thread may change it at any time.
  bool is_closed() const noexcept { return state_ == nullptr || state_->stage() != detail::OneshotState<T>::Stage::open; }

  // A Future of the moment from which a value would find nobody: a reason to stop working on it.
  detail::OneshotClosed<T> closed() const {
    ASSAY_CHECK(state_ != nullptr, "a threads::oneshot sender was used after its value was sent");
    return detail::OneshotClosed<T>(state_);
  }

 private:
  std::shared_ptr<detail::OneshotState<T>> state_;
};

// A Future of the value; of nothing, if the sender was dropped.
template <class T>
class OneshotReceiver {
 public:
  using Output = std::optional<T>;
  explicit OneshotReceiver(std::shared_ptr<detail::OneshotState<T>> state) noexcept : state_(std::move(state)) {}
  OneshotReceiver(OneshotReceiver&&) noexcept = default;
  OneshotReceiver& operator=(OneshotReceiver&& other) noexcept {
    OneshotReceiver taken(std::move(other));  // what was here before is dropped
    std::swap(state_, taken.state_);
    std::swap(done_, taken.done_);
    return *this;
  }
  ~OneshotReceiver() {
    if (state_ == nullptr) return;
    state_->close(Stage::closed);
    state_->take();
  }

  Poll<std::optional<T>> poll(Context& context) {
    ASSAY_CHECK(!done_, polled_after_ready);
    if (state().receiver_waits(context)) return Pending;
    done_ = true;
    return Ready(state().take());
  }

  // From now on the sender hears that nobody waits. What it had sent before can still be had.
  void close() noexcept { state().close(Stage::closed); }

  // Gives the receiver up without the sender's hearing of it.
  void abandon() noexcept {
    state().close(Stage::abandoned);
    state_ = nullptr;
  }

  // Whether a poll would be Ready.
  bool is_ready() const noexcept { return state().stage() != Stage::open; }
  bool is_empty() const noexcept { return state_ == nullptr; }

 private:
  using Stage = typename detail::OneshotState<T>::Stage;

  detail::OneshotState<T>& state() const noexcept {
    ASSAY_CHECK(state_ != nullptr, "a threads::oneshot receiver was used after it was moved from or abandoned");
    return *state_;
  }

  std::shared_ptr<detail::OneshotState<T>> state_;
  bool done_ = false;
};

// One allocation.
template <class T>
std::pair<OneshotSender<T>, OneshotReceiver<T>> oneshot() {
  auto state = std::make_shared<detail::OneshotState<T>>();
  return {OneshotSender<T>(state), OneshotReceiver<T>(state)};
}

}  // namespace assay::threads
