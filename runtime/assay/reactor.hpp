// The reactor: waits for file descriptors. PollReactor is the reference backend, on poll(2).
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "assay/audited/raw_waker.hpp"
#include "assay/clock.hpp"

namespace assay {

// What to wait for.
enum class Interest : std::uint8_t { read = 1, write = 2, read_write = 3 };

// What a file descriptor is ready for. A hint: the call that follows may still say EAGAIN.
struct Readiness {
  bool readable = false;
  bool writable = false;
  bool hangup = false;   // POLLHUP: the other side closed
  bool error = false;    // POLLERR: the next call says which
  bool invalid = false;  // POLLNVAL: the number is not an open file descriptor

  friend bool operator==(const Readiness&, const Readiness&) = default;
};

class Reactor;

// One wait for one file descriptor: a member of whatever waits. Stops waiting when destroyed.
class FdWait {
 public:
  FdWait(int fd, Interest interest) noexcept : fd_(fd), interest_(interest) {}
  ~FdWait() { stop(); }
  FdWait(const FdWait&) = delete;
  FdWait& operator=(const FdWait&) = delete;

  int fd() const noexcept { return fd_; }
  Interest interest() const noexcept { return interest_; }
  const Reactor* reactor() const noexcept { return reactor_; }
  bool is_ready() const noexcept { return ready_; }
  Readiness readiness() const noexcept { return readiness_; }

  void stop() noexcept;

 private:
  friend class Reactor;
  int fd_;
  Interest interest_;
  bool ready_ = false;
  Readiness readiness_{};
  Reactor* reactor_ = nullptr;
  std::size_t place_ = 0;
  LocalWaker waker_;
};

// A backend. The executor's thread only.
class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  virtual ~Reactor() { let_go_of_all(); }

  // Starts to wait, once: the first event of the fd (HUP, ERR and NVAL included) makes `wait` ready and wakes the waker.
  // Any number of waits may watch one fd. May throw std::bad_alloc.
  void watch(FdWait& wait, const LocalWaker& waker);

  // The waker of a wait, when its task is polled with another one.
  static void update(FdWait& wait, const LocalWaker& waker);

  // Blocks until an fd is ready, `wakeup_fd` is readable, or the time has passed (none: for ever; zero: only looks); wakes
  // what is ready. True: wakeup_fd is readable.
  virtual bool wait(int wakeup_fd, std::optional<Duration> timeout) = 0;

  // How many waits there are.
  virtual std::size_t size() const noexcept = 0;

  // Aborts unless each wait knows its place; returns how many there are. O(waits).
  std::size_t check_deep() const noexcept;

  // Calls visit(fd, poll events) for each wait.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const FdWait* wait : waits_) {
      if (wait != nullptr) visit(wait->fd(), poll_events(wait->interest()));
    }
  }

  static short poll_events(Interest interest) noexcept;
  static Readiness readiness_of(short events) noexcept;

 protected:
  // To be called by the backend when `wait` is ready; the wait is unlinked before its waker is used.
  void make_ready(FdWait& wait, Readiness readiness);
  // Nothing waits any more. A backend whose members run code of others when they go calls it first in its destructor.
  void let_go_of_all() noexcept;

  // The wait in place `place` of the backend's table, or null.
  FdWait* wait_in(std::size_t place) const noexcept { return waits_.at(place); }
  std::size_t places() const noexcept { return waits_.size(); }

  virtual void added(FdWait& wait) = 0;              // as the last place
  virtual void removed(std::size_t place) noexcept = 0;  // the last place moves into `place`, unless it is the last

  // While an event batch is dispatched, places keep their numbers; leaving closes the gaps.
  void enter_batch() noexcept;
  void leave_batch() noexcept;

 private:
  friend class FdWait;
  void unlink(FdWait& wait) noexcept;
  void close_gap(std::size_t place) noexcept;
  void check_owner() const noexcept;

  std::vector<FdWait*> waits_;
  std::uint64_t owner_ = 0;  // the thread of all waits
  std::size_t gaps_ = 0;
  bool in_batch_ = false;
};

class PollReactor final : public Reactor {
 public:
  bool wait(int wakeup_fd, std::optional<Duration> timeout) override;
  std::size_t size() const noexcept override { return entries_.empty() ? 0 : entries_.size() - 1; }

 private:
  void added(FdWait& wait) override;
  void removed(std::size_t place) noexcept override;

  std::vector<pollfd> entries_;  // the first is the wakeup fd; entry i + 1 belongs to place i
};

}  // namespace assay
