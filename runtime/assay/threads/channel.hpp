// threads::channel: a queue from any number of senders to one receiver, on whatever threads they are.
//
//   auto [sender, receiver] = threads::channel<int>(16);  // or threads::unbounded_channel<int>()
//   bool taken = co_await sender.send(1);                 // waits while 16 are in the queue; outside a task: run(sender.send(1))
//   std::optional<int> next = co_await receiver.recv();   // empty when all senders are gone and the queue is empty
//
// A Sender, a Receiver and each of their futures belong to one thread at a time, and may be moved to another (futures: before
// their first poll). One allocation for each item. No code of T runs while a lock is held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/audited/sync.hpp"
#include "assay/base/attributes.hpp"
#include "assay/future.hpp"

namespace assay::threads {

namespace detail {

template <class T>
class ChannelState;

// A sender in line: its item goes into the queue in its turn, by the hand of whoever takes the item before it.
template <class T>
class [[nodiscard]] ChannelSend : public audited::ListNode<ChannelSend<T>> {
 public:
  using Output = bool;
  ChannelSend(std::shared_ptr<ChannelState<T>> channel, T value) : channel_(std::move(channel)) {
    item_.push_back(std::move(value));
  }
  ChannelSend(ChannelSend&& other) noexcept : channel_(std::move(other.channel_)), item_(std::move(other.item_)) {
    ASSAY_CHECK(!other.started_, moved_after_poll);
  }
  ChannelSend& operator=(ChannelSend&&) = delete;
  ~ChannelSend() {
    if (started_ && !done_) channel_->leave(*this);
  }

  Poll<bool> poll(Context& context) {
    ASSAY_CHECK(!done_, polled_after_ready);
    started_ = true;
    const std::optional<bool> answer = channel_->send(*this, context);
    if (!answer) return Pending;
    done_ = true;
    return Ready(bool(*answer));
  }

 private:
  friend class ChannelState<T>;
  enum class Stage : std::uint8_t { asking, accepted, refused };

  std::shared_ptr<ChannelState<T>> channel_;
  bool started_ = false;
  bool done_ = false;
  // What others change while this is in line. Under the channel's lock:
  std::list<T> item_;
  Stage stage_ = Stage::asking;
  Waker waker_;
};

template <class T>
class [[nodiscard]] ChannelRecv {
 public:
  using Output = std::optional<T>;
  explicit ChannelRecv(std::shared_ptr<ChannelState<T>> channel) noexcept : channel_(std::move(channel)) {}
  ChannelRecv(ChannelRecv&& other) noexcept : channel_(std::move(other.channel_)) {
    ASSAY_CHECK(!other.started_, moved_after_poll);
  }
  ChannelRecv& operator=(ChannelRecv&&) = delete;
  ~ChannelRecv() {
    if (started_ && !done_) channel_->leave(*this);
  }

  Poll<std::optional<T>> poll(Context& context) {
    ASSAY_CHECK(!done_, polled_after_ready);
    started_ = true;
    Poll<std::optional<T>> next = channel_->receive(*this, context);
    done_ = next.is_ready();
    return next;
  }

 private:
  std::shared_ptr<ChannelState<T>> channel_;
  bool started_ = false;
  bool done_ = false;
};

// What all ends share.
//  (1) Everything changes under the lock. Items are made and destroyed, wakers copied, woken and dropped with no lock held.
//  (2) No sender is in line while there is room, and the receiver does not wait while there is an item.
//  (3) Nothing enters the queue once the receiver has closed it or the last Sender is gone, but for those in line then.
template <class T>
class ChannelState {
  using Lock = audited::sync::Lock;
  using Items = std::list<T>;

 public:
  explicit ChannelState(std::size_t capacity) noexcept : capacity_(capacity) {}

  // ---- senders

  void add_sender() noexcept {
    const Lock lock(mutex_);
    ++senders_;
  }

  void remove_sender() noexcept {
    Waker receiver;
    {
      const Lock lock(mutex_);
      if (--senders_ == 0) std::swap(receiver, receiver_);
    }
    std::move(receiver).wake();
  }

  // Whether the item went into the queue. Nothing: it is in line, and `context` is woken when that is known.
  std::optional<bool> send(ChannelSend<T>& one, const Context& context) noexcept {
    Waker receiver;
    Waker waker;
    std::optional<bool> answer;
    {
      const Lock lock(mutex_);
      answer = answer_to(one, receiver);
    }
    if (!answer) {
      waker = context.waker();
      const Lock lock(mutex_);
      answer = answer_to(one, receiver);
      if (!answer) {
        if (!one.is_linked()) line_.push_back(one);
        std::swap(one.waker_, waker);
      }
    }
    std::move(receiver).wake();
    return answer;
  }

  // True: the item is in the queue. False: it would have had to wait, or nobody receives; it is still in `item`.
  bool try_send(Items& item) noexcept {
    Waker receiver;
    {
      const Lock lock(mutex_);
      if (is_closed_ || !has_room()) return false;
      push(item, receiver);
    }
    std::move(receiver).wake();
    return true;
  }

  void leave(ChannelSend<T>& one) noexcept {
    Waker waker;
    const Lock lock(mutex_);
    if (one.is_linked()) one.unlink();
    std::swap(waker, one.waker_);
  }

  // ---- the receiver

  // The next item, or nothing when none will come.
  Poll<std::optional<T>> receive(const ChannelRecv<T>& one, const Context& context) {
    Items item;
    Waker sender;
    Waker waker;
    bool is_over = false;
    {
      const Lock lock(mutex_);
      is_over = take(item, sender);
      forget(one, waker);
    }
    if (item.empty() && !is_over) {
      waker = context.waker();
      const Lock lock(mutex_);
      is_over = take(item, sender);
      if (item.empty() && !is_over) {
        ASSAY_CHECK(waiting_ == nullptr || waiting_ == &one, "two recv() of one threads::Receiver wait at the same time");
        waiting_ = &one;
        std::swap(receiver_, waker);
        return Pending;
      }
    }
    std::move(sender).wake();
    return Ready(front_of(item));
  }

  std::optional<T> try_receive() {
    Items item;
    Waker sender;
    {
      const Lock lock(mutex_);
      take(item, sender);
    }
    std::move(sender).wake();
    return front_of(item);
  }

  void leave(const ChannelRecv<T>& one) noexcept {
    Waker waker;
    const Lock lock(mutex_);
    forget(one, waker);
  }

  // Refuses all who wait in line, and whatever is sent from now on.
  void close() noexcept {
    for (bool is_first = true;; is_first = false) {
      Waker waker;
      {
        const Lock lock(mutex_);
        is_closed_ = true;
        ChannelSend<T>* const next = is_first ? nullptr : line_.pop_front();
        if (!is_first && next == nullptr) return;
        if (next != nullptr) next->stage_ = ChannelSend<T>::Stage::refused;
        std::swap(waker, next == nullptr ? receiver_ : next->waker_);
      }
      std::move(waker).wake();
    }
  }

  // Destroys what is in the queue.
  void discard() noexcept {
    Items items;
    const Lock lock(mutex_);
    items.swap(queue_);
  }

  // ---- all

  bool is_closed() noexcept {
    const Lock lock(mutex_);
    return is_closed_;
  }
  std::size_t size() noexcept {
    const Lock lock(mutex_);
    return queue_.size();
  }

 private:
  bool has_room() const noexcept ASSAY_REQUIRES(mutex_) { return queue_.size() < capacity_ && line_.empty(); }

  void push(Items& item, Waker& receiver) noexcept ASSAY_REQUIRES(mutex_) {
    queue_.splice(queue_.end(), item);
    std::swap(receiver, receiver_);
  }

  std::optional<bool> answer_to(ChannelSend<T>& one, Waker& receiver) noexcept ASSAY_REQUIRES(mutex_) {
    using Stage = typename ChannelSend<T>::Stage;
    if (one.stage_ != Stage::asking) return one.stage_ == Stage::accepted;
    if (one.is_linked()) return std::nullopt;
    if (is_closed_ || senders_ == 0) return false;
    if (!has_room()) return std::nullopt;
    push(one.item_, receiver);
    return true;
  }

  // Takes the next item, if there is one, and lets the first in line put its own into the queue. Whether none will come.
  bool take(Items& item, Waker& sender) noexcept ASSAY_REQUIRES(mutex_) {
    if (queue_.empty()) return is_closed_ || senders_ == 0;
    item.splice(item.end(), queue_, queue_.begin());
    if (ChannelSend<T>* const next = line_.pop_front()) {
      next->stage_ = ChannelSend<T>::Stage::accepted;
      queue_.splice(queue_.end(), next->item_);
      std::swap(sender, next->waker_);
    }
    return false;
  }

  void forget(const ChannelRecv<T>& one, Waker& waker) noexcept ASSAY_REQUIRES(mutex_) {
    if (waiting_ != &one) return;
    waiting_ = nullptr;
    std::swap(waker, receiver_);
  }

  static std::optional<T> front_of(Items& item) {
    return item.empty() ? std::nullopt : std::optional<T>(std::move(item.front()));
  }

  const std::size_t capacity_;
  audited::sync::Mutex mutex_;
  Items queue_ ASSAY_GUARDED_BY(mutex_);
  audited::IntrusiveList<ChannelSend<T>> line_ ASSAY_GUARDED_BY(mutex_);
  std::size_t senders_ ASSAY_GUARDED_BY(mutex_) = 0;
  bool is_closed_ ASSAY_GUARDED_BY(mutex_) = false;
  const ChannelRecv<T>* waiting_ ASSAY_GUARDED_BY(mutex_) = nullptr;  // compared only
  Waker receiver_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace detail

// Copyable: the channel ends when the last copy is gone and what is in the queue is received. What a send() that was not polled
// before that has to give is refused.
template <class T>
class Sender {
 public:
  explicit Sender(std::shared_ptr<detail::ChannelState<T>> state) noexcept : state_(std::move(state)) { state_->add_sender(); }
  Sender(const Sender& other) noexcept : Sender(other.shared()) {}
  Sender(Sender&& other) noexcept = default;
  Sender& operator=(Sender other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Sender() {
    if (state_ != nullptr) state_->remove_sender();
  }

  // A Future of whether the value went into the queue; false when nobody receives. First come, first served.
  detail::ChannelSend<T> send(T value) const { return detail::ChannelSend<T>(shared(), std::move(value)); }

  // Without waiting, and never past those who wait: the value again if it could not go in.
  std::optional<T> try_send(T value) const {
    std::list<T> item;
    item.push_back(std::move(value));
    if (shared()->try_send(item)) return std::nullopt;
    return std::optional<T>(std::move(item.front()));
  }

  // Whether nobody receives. Another thread may change it at any time.
  bool is_closed() const noexcept { return shared()->is_closed(); }

 private:
  const std::shared_ptr<detail::ChannelState<T>>& shared() const noexcept {
    ASSAY_CHECK(state_ != nullptr, "a threads::Sender was used after it was moved from");
    return state_;
  }

  std::shared_ptr<detail::ChannelState<T>> state_;
};

// Dropping it refuses all who wait to send, and drops what is in the queue.
template <class T>
class Receiver {
 public:
  explicit Receiver(std::shared_ptr<detail::ChannelState<T>> state) noexcept : state_(std::move(state)) {}
  Receiver(Receiver&&) noexcept = default;
  Receiver& operator=(Receiver&& other) noexcept {
    Receiver taken(std::move(other));  // the channel that was received from before closes now
    std::swap(state_, taken.state_);
    return *this;
  }
  ~Receiver() {
    if (state_ == nullptr) return;
    state_->close();
    state_->discard();
  }

  // A Future of the next item; of nothing, when none will come. One at a time.
  detail::ChannelRecv<T> recv() const { return detail::ChannelRecv<T>(shared()); }
  std::optional<T> try_recv() const { return shared()->try_receive(); }

  // Refuses whatever is sent from now on, and all who wait in line. What is in the queue can still be received.
  void close() const noexcept { shared()->close(); }

  // Items in the queue.
  std::size_t size() const noexcept { return shared()->size(); }

 private:
  const std::shared_ptr<detail::ChannelState<T>>& shared() const noexcept {
    ASSAY_CHECK(state_ != nullptr, "a threads::Receiver was used after it was moved from");
    return state_;
  }

  std::shared_ptr<detail::ChannelState<T>> state_;
};

// A queue of at most `capacity` items (at least 1).
template <class T>
std::pair<Sender<T>, Receiver<T>> channel(std::size_t capacity) {
  ASSAY_CHECK(capacity > 0, "threads::channel() was given a capacity of 0; it must be at least 1");
  auto state = std::make_shared<detail::ChannelState<T>>(capacity);
  return {Sender<T>(state), Receiver<T>(state)};
}

// A queue that grows as long as there is memory: a send never waits.
template <class T>
std::pair<Sender<T>, Receiver<T>> unbounded_channel() {
  return channel<T>(std::numeric_limits<std::size_t>::max());
}

}  // namespace assay::threads
