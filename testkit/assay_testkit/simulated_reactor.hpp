// A Reactor without a kernel: a test says which file descriptors are ready for what, and what happens while the
// executor sleeps. Descriptors are only numbers here.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "assay/descriptors.hpp"
#include "assay/reactor.hpp"

namespace assay::testkit {

// The executor's thread only. Must outlive the executor that uses it.
class SimulatedReactor final : public Reactor {
 public:
  SimulatedReactor() = default;
  ~SimulatedReactor() override { let_go_of_all(); }

  // What `fd` is ready for from now on, in the flags of poll(2). Level-triggered: it stays so until it is set again. As
  // with poll(2), POLLHUP, POLLERR and POLLNVAL are told to whoever waits for the fd, IN and OUT to who asked for them.
  void set(int fd, int events) { levels_[fd] = static_cast<short>(events); }

  // Reported by the next wait, once: a readiness that is gone when the task comes to use it.
  void pulse(int fd, int events) { pulses_[fd] = static_cast<short>(pulse_of(fd) | events); }

  // Called when the executor would sleep, with the longest time it would. What it makes ready is dispatched at once;
  // otherwise wait() returns early with nothing. Empty: sleeps for real, until another thread wakes the executor.
  std::function<void(std::optional<Duration> timeout)> on_park{};

  // How often the executor asked, and how often it would have slept.
  std::uint64_t waits() const noexcept { return waits_; }
  std::uint64_t parks() const noexcept { return parks_; }

  bool wait(int wakeup_fd, std::optional<Duration> timeout) override {
    ++waits_;
    Duration sleep = timeout.value_or(Duration::max());
    if (sleep > Duration::zero() && !any_ready()) {
      ++parks_;
      if (on_park) {
        on_park(timeout);
        sleep = Duration::zero();
      }
    }
    if (any_ready()) sleep = Duration::zero();
    pollfd wakeup{wakeup_fd, POLLIN, 0};
    assay::detail::wait_for(std::span(&wakeup, 1), sleep == Duration::max() ? std::nullopt : std::optional(sleep.count()));
    dispatch();
    return wakeup.revents != 0;
  }

  std::size_t size() const noexcept override { return size_; }

 private:
  static constexpr short always = POLLHUP | POLLERR | POLLNVAL;

  void added(FdWait&) override { ++size_; }
  void removed(std::size_t) noexcept override { --size_; }

  short pulse_of(int fd) const {
    const auto found = pulses_.find(fd);
    return found != pulses_.end() ? found->second : short{0};
  }
  short events_of(const FdWait& wait) const {
    const auto found = levels_.find(wait.fd());
    const int now = (found != levels_.end() ? found->second : 0) | pulse_of(wait.fd());
    return static_cast<short>(now & (poll_events(wait.interest()) | always));
  }
  bool any_ready() const {
    for (std::size_t place = 0; place < places(); ++place) {
      const FdWait* const wait = wait_in(place);
      if (wait != nullptr && events_of(*wait) != 0) return true;
    }
    return false;
  }

  // As the kernel does it: all events are taken before the first waker is used.
  void dispatch() {
    batch_.assign(places(), 0);
    for (std::size_t place = 0; place < batch_.size(); ++place) {
      if (const FdWait* const wait = wait_in(place)) batch_.at(place) = events_of(*wait);
    }
    pulses_.clear();
    enter_batch();
    for (std::size_t place = 0; place < batch_.size(); ++place) {
      FdWait* const wait = wait_in(place);
      if (wait != nullptr && batch_.at(place) != 0) make_ready(*wait, readiness_of(batch_.at(place)));
    }
    leave_batch();
  }

  std::map<int, short> levels_;
  std::map<int, short> pulses_;
  std::vector<short> batch_;
  std::size_t size_ = 0;
  std::uint64_t waits_ = 0;
  std::uint64_t parks_ = 0;
};

}  // namespace assay::testkit
