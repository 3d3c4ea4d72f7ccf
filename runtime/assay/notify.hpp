// Notify: wakes tasks of one executor that wait for something to happen.
#pragma once

#include <cstdint>
#include <utility>

#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/future.hpp"
#include "assay/loan.hpp"

namespace assay {

// The executor's thread only. Must outlive what waits on it, or aborts.
class Notify : public detail::Lender {
 public:
  Notify() = default;
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;
  ~Notify() {
    ASSAY_CHECK(!is_lent(), "a Notify was destroyed while tasks wait on it, or are about to; declare it before the executor");
  }

  // Ready when notified. Waiters are served first come, first served; the place in line is taken at the first poll.
  class [[nodiscard]] Notified : public audited::ListNode<Notified> {
   public:
    using Output = void;
    explicit Notified(Notify& notify) noexcept : notify_(notify) {}
    Notified(Notified&& other) noexcept : notify_(std::move(other.notify_)) {
      ASSAY_CHECK(other.state_ == State::fresh, moved_after_poll);
    }
    Notified& operator=(Notified&&) = delete;
    ~Notified() {
      if (is_linked()) unlink();  // before the waker goes, whose end may run code that notifies
      // A notification that was given to us and not used goes to the next in line.
      if (state_ == State::notified && pass_on_) notify_->notify_one();
    }

    ASSAY_RUNS_OTHERS Poll<void> poll(Context& context) ASSAY_NONBLOCKING {
      ASSAY_CHECK(state_ != State::done, polled_after_ready);
      if (state_ == State::fresh) {
        if (std::exchange(notify_->permit_, false)) {
          end();
          return Ready();
        }
        state_ = State::waiting;
        notify_->waiting_.push_back(*this);
      }
      if (state_ == State::waiting) {
        // Copying or dropping a waker may run code that notifies: the line is joined before, and looked at after.
        if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
        if (state_ == State::waiting) return Pending;
        waker_ = LocalWaker();
      }
      end();
      return Ready();
    }

   private:
    friend class Notify;
    enum class State : std::uint8_t { fresh, waiting, notified, done };

    void notify(bool pass_on) {
      state_ = State::notified;
      pass_on_ = pass_on;
      if (!pass_on) notify_.end();
      std::exchange(waker_, LocalWaker()).wake();
    }

    void end() noexcept {
      state_ = State::done;
      notify_.end();
    }

    detail::Loan<Notify> notify_;
    LocalWaker waker_;
    State state_ = State::fresh;
    bool pass_on_ = false;
  };

  Notified notified() noexcept ASSAY_LIFETIMEBOUND { return Notified(*this); }

  // Wakes the first in line. With nobody there, the next one who comes does not wait; that is remembered once. O(1).
  ASSAY_RUNS_OTHERS void notify_one() ASSAY_NONBLOCKING {
    if (Notified* const first = waiting_.pop_front()) {
      first->notify(true);
    } else {
      permit_ = true;
    }
  }

  // Wakes all who wait now; remembers nothing. O(waiters).
  ASSAY_RUNS_OTHERS void notify_all() ASSAY_NONBLOCKING {
    audited::IntrusiveList<Notified> now;
    now.splice_back(waiting_);
    while (Notified* const first = now.pop_front()) first->notify(false);
  }

 private:
  audited::IntrusiveList<Notified> waiting_;
  bool permit_ = false;
};

}  // namespace assay
