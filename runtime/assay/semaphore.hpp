// Semaphore: a number of permits shared by tasks of one executor. Fair: first come, first served, whatever they ask for.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/future.hpp"
#include "assay/loan.hpp"

namespace assay {

// The executor's thread only. Must outlive its permits and what waits on it, or aborts.
class Semaphore : public detail::Lender {
 public:
  explicit Semaphore(std::size_t permits) noexcept : available_(permits) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() {
    ASSAY_CHECK(!is_lent() && out_ == 0,
                "a Semaphore or Mutex was destroyed while tasks hold it or wait on it; declare it before the executor");
  }

  // Holds permits, and gives them back when destroyed.
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)), count_(other.count_) {}
    Permit& operator=(Permit&& other) noexcept {
      Permit taken(std::move(other));
      std::swap(semaphore_, taken.semaphore_);
      std::swap(count_, taken.count_);
      return *this;
    }
    ~Permit() {
      if (semaphore_ != nullptr) semaphore_->give_back(count_);
    }
    std::size_t count() const noexcept { return count_; }

    // The permits are gone for good: the semaphore shrinks.
    void forget() noexcept {
      if (Semaphore* const semaphore = std::exchange(semaphore_, nullptr)) semaphore->out_ -= count_;
    }

   private:
    friend class Semaphore;
    Permit(Semaphore& semaphore, std::size_t count) noexcept : semaphore_(&semaphore), count_(count) {
      semaphore.out_ += count;
    }
    Semaphore* semaphore_;
    std::size_t count_;
  };

  // Ready with the permits. The place in line is taken at the first poll.
  class [[nodiscard]] Acquire : public audited::ListNode<Acquire> {
   public:
    using Output = Permit;
    Acquire(Semaphore& semaphore, std::size_t count) noexcept : semaphore_(semaphore), count_(count) {}
    Acquire(Acquire&& other) noexcept : semaphore_(std::move(other.semaphore_)), count_(other.count_) {
      ASSAY_CHECK(!other.started_, moved_after_poll);
    }
    Acquire& operator=(Acquire&&) = delete;
    ~Acquire() {
      if (!is_linked()) return;  // and what was granted goes back with granted_
      unlink();
      semaphore_->serve();  // those behind may ask for less
    }

    Poll<Permit> poll(Context& context) {
      ASSAY_CHECK(!done_, polled_after_ready);
      if (!started_) {
        started_ = true;
        granted_ = semaphore_->try_acquire(count_);
        if (granted_) {
          semaphore_.end();
        } else {
          semaphore_->waiting_.push_back(*this);
        }
      }
      if (!granted_) {
        // Copying or dropping a waker may run code that returns permits: the line is joined before, and looked at after.
        if (!waker_.will_wake(context.local_waker())) waker_ = context.local_waker();
        if (!granted_) return Pending;
        waker_ = LocalWaker();
      }
      done_ = true;
      Permit mine = std::move(*granted_);
      granted_.reset();
      return Ready(std::move(mine));
    }

   private:
    friend class Semaphore;
    detail::Loan<Semaphore> semaphore_;
    std::size_t count_;
    std::optional<Permit> granted_;
    LocalWaker waker_;
    bool started_ = false;
    bool done_ = false;
  };

  Acquire acquire(std::size_t count = 1) noexcept ASSAY_LIFETIMEBOUND { return Acquire(*this, count); }

  // Without waiting, and never past those who wait. O(1).
  std::optional<Permit> try_acquire(std::size_t count = 1) noexcept {
    if (!waiting_.empty() || available_ < count) return std::nullopt;
    available_ -= count;
    return Permit(*this, count);
  }

  // Adds permits, for good.
  void add(std::size_t count) {
    ASSAY_CHECK(count <= std::numeric_limits<std::size_t>::max() - available_ - out_, "a Semaphore was given too many permits");
    available_ += count;
    serve();
  }

  std::size_t available() const noexcept { return available_; }

 private:
  void give_back(std::size_t count) {
    out_ -= count;
    available_ += count;
    serve();
  }

  void serve() {
    for (Acquire* first = waiting_.front(); first != nullptr && first->count_ <= available_; first = waiting_.front()) {
      waiting_.pop_front();
      available_ -= first->count_;
      first->granted_.emplace(Permit(*this, first->count_));  // which refers to this in its turn
      first->semaphore_.end();
      std::exchange(first->waker_, LocalWaker()).wake();
    }
  }

  std::size_t available_;
  std::size_t out_ = 0;
  audited::IntrusiveList<Acquire> waiting_;
};

}  // namespace assay
