#include "assay/reactor.hpp"

#include "assay/audited/current.hpp"
#include "assay/base/check.hpp"
#include "assay/descriptors.hpp"

namespace assay {

void FdWait::stop() noexcept ASSAY_NONBLOCKING {
  if (reactor_ != nullptr) reactor_->unlink(*this);
  LocalWaker gone = std::move(waker_);
}

short Reactor::poll_events(Interest interest) noexcept ASSAY_NONBLOCKING {
  switch (interest) {
    case Interest::read: return POLLIN;
    case Interest::write: return POLLOUT;
    case Interest::read_write: break;
  }
  return POLLIN | POLLOUT;
}

Readiness Reactor::readiness_of(short events) noexcept {
  const auto has = [events](int flag) { return (events & flag) != 0; };
  return Readiness{has(POLLIN | POLLPRI), has(POLLOUT), has(POLLHUP), has(POLLERR), has(POLLNVAL)};
}

void Reactor::watch(FdWait& wait, const LocalWaker& waker) ASSAY_NONBLOCKING {
  LocalWaker kept = waker;
  ASSAY_CHECK(wait.fd_ >= 0, "FdEvent was given a negative file descriptor");
  ASSAY_CHECK(wait.reactor_ == nullptr, "internal: a wait for an fd was started twice");
  take_ownership();
  wait.place_ = static_cast<std::uint32_t>(waits_.size());
  ASSAY_UNCHECKED(waits_.push_back(&wait));  // growth
  ASSAY_UNCHECKED(add_or_undo(wait));
  wait.reactor_ = this;
  wait.ready_ = false;
  std::swap(wait.waker_, kept);
}

void Reactor::add_or_undo(FdWait& wait) {
  try {
    added(wait);
  } catch (...) {
    waits_.pop_back();
    throw;
  }
}

void Reactor::update(FdWait& wait, const LocalWaker& waker) ASSAY_NONBLOCKING {
  if (wait.waker_.will_wake(waker)) return;
  LocalWaker kept = waker;
  std::swap(wait.waker_, kept);
}

void Reactor::make_ready(FdWait& wait, Readiness readiness) ASSAY_NONBLOCKING {
  unlink(wait);
  wait.ready_ = true;
  wait.readiness_ = readiness;
  std::exchange(wait.waker_, LocalWaker()).wake();
}

std::size_t Reactor::check_deep() const noexcept {
  std::size_t gaps = 0;
  for (std::size_t place = 0; place < waits_.size(); ++place) {
    const FdWait* const wait = waits_.at(place);
    if (wait == nullptr) {
      ++gaps;
    } else {
      ASSAY_CHECK(wait->reactor_ == this && wait->place_ == place && !wait->ready_, "internal: a reactor's table is wrong");
    }
  }
  ASSAY_CHECK(gaps == gaps_ && (in_batch_ || gaps == 0), "internal: a reactor's table has gaps that nobody counted");
  ASSAY_CHECK(size() == waits_.size(), "internal: a reactor's backend and its table differ");
  check_backend();
  return waits_.size() - gaps;
}

void Reactor::let_go_of_all() noexcept {
  for (FdWait* wait : waits_) {
    if (wait != nullptr) wait->reactor_ = nullptr;
  }
  waits_.clear();
}

void Reactor::unlink(FdWait& wait) noexcept ASSAY_NONBLOCKING {
  check_owner();
  ASSAY_ASSERT(ASSAY_UNCHECKED(waits_.at(wait.place_)) == &wait, "internal: a reactor's table is wrong");
  leaving(wait);
  wait.reactor_ = nullptr;
  ASSAY_UNCHECKED(waits_.at(wait.place_)) = nullptr;
  if (in_batch_) {
    ++gaps_;
  } else {
    close_gap(wait.place_);
  }
}

bool Reactor::attach(detail::FdRegistration& source) {
  ASSAY_CHECK(!source.is_attached(), "internal: a source was attached twice");
  take_ownership();
  if (!attached(source)) return false;
  source.reactor_ = this;
  ++sources_;
  return true;
}

void detail::FdRegistration::detach() noexcept {
  if (reactor_ == nullptr) return;
  reactor_->check_owner();
  reactor_->detached(*this);
  reactor_->let_go(*this);
}

void Reactor::let_go(detail::FdRegistration& source) noexcept {
  ASSAY_CHECK(source.reactor_ == this && sources_ > 0, "internal: a source was detached from another reactor than its own");
  source.reactor_ = nullptr;
  --sources_;
}

// A reactor that nothing waits for belongs to nobody.
void Reactor::take_ownership() noexcept ASSAY_NONBLOCKING {
  if (waits_.empty() && sources_ == 0) owner_ = audited::current_thread_id();
  check_owner();
}

void Reactor::check_owner() const noexcept ASSAY_NONBLOCKING {
  ASSAY_CHECK(owner_ == audited::current_thread_id(), "a wait for an fd was begun or destroyed on another thread than its executor's");
}

void Reactor::close_gap(std::size_t place) noexcept ASSAY_NONBLOCKING {
  removed(place);
  FdWait* const last = waits_.back();
  ASSAY_UNCHECKED(waits_.at(place)) = last;
  waits_.pop_back();
  if (place < waits_.size() && last != nullptr) last->place_ = static_cast<std::uint32_t>(place);
}

void Reactor::enter_batch() noexcept {
  ASSAY_CHECK(!in_batch_, "a Reactor was asked to wait by a waker that it was waking");
  in_batch_ = true;
}

void Reactor::leave_batch() noexcept {
  in_batch_ = false;
  for (std::size_t place = waits_.size(); gaps_ > 0 && place-- > 0;) {
    if (waits_.at(place) != nullptr) continue;
    close_gap(place);
    --gaps_;
  }
  ASSAY_ASSERT(gaps_ == 0, "internal: a reactor's table has gaps that nobody counted");
}

void PollReactor::added(FdWait& wait) ASSAY_NONBLOCKING {
  if (entries_.empty()) ASSAY_UNCHECKED(entries_.push_back(pollfd{}));
  ASSAY_UNCHECKED(entries_.push_back(pollfd{wait.fd(), poll_events(wait.interest()), 0}));  // growth
}

void PollReactor::removed(std::size_t place) noexcept ASSAY_NONBLOCKING {
  ASSAY_UNCHECKED(entries_.at(place + 1)) = entries_.back();
  entries_.pop_back();
}

bool PollReactor::wait(int wakeup_fd, std::optional<Duration> timeout) {
  if (entries_.empty()) entries_.push_back(pollfd{});
  entries_.front() = pollfd{wakeup_fd, POLLIN, 0};
  const std::optional<std::int64_t> nanoseconds = timeout ? std::optional(timeout->count()) : std::nullopt;
  int left = detail::wait_for(entries_, nanoseconds);
  const bool woken = entries_.front().revents != 0;
  if (woken) --left;
  enter_batch();
  // What a waker's own code adds meanwhile comes after `end`, and has no events yet.
  const std::size_t end = places();
  for (std::size_t place = 0; place < end && left > 0; ++place) {
    const short events = std::exchange(entries_.at(place + 1).revents, short{0});
    if (events == 0) continue;
    --left;
    if (FdWait* const ready = wait_in(place)) make_ready(*ready, readiness_of(events));
  }
  leave_batch();
  return woken;
}

}  // namespace assay
