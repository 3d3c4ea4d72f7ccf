// The reactor: waits for file descriptors. PollReactor is the reference backend, on poll(2); EpollReactor
// (epoll_reactor.hpp) the one for many file descriptors.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "assay/audited/intrusive_list.hpp"
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

class EpollReactor;
class Reactor;

// One wait for one file descriptor: a member of whatever waits. Stops waiting when destroyed.
class FdWait : public audited::ListNode<FdWait> {
 public:
  FdWait(int fd, Interest interest) noexcept : fd_(fd), interest_(interest) {}
  ASSAY_RUNS_OTHERS ~FdWait() ASSAY_NONBLOCKING { stop(); }
  FdWait(const FdWait&) = delete;
  FdWait& operator=(const FdWait&) = delete;

  int fd() const noexcept { return fd_; }
  Interest interest() const noexcept { return interest_; }
  const Reactor* reactor() const noexcept { return reactor_; }
  bool is_ready() const noexcept { return ready_; }
  Readiness readiness() const noexcept { return readiness_; }

  ASSAY_RUNS_OTHERS void stop() noexcept ASSAY_NONBLOCKING;

  // Whether it is ready; it no longer is, until it is watched and ready again.
  bool take_ready() noexcept { return std::exchange(ready_, false); }

  // For an FdSource that is attached: events since the last one that the backend reported suffice. To be set before watch().
  void rely_on_edges(bool rely) noexcept { relies_on_edges_ = rely; }

 private:
  friend class Reactor;
  friend class EpollReactor;
  // Where EpollReactor keeps it.
  enum class Home : std::uint8_t { entry, polled, due };

  int fd_;
  Interest interest_;
  bool ready_ = false;
  bool relies_on_edges_ = false;
  Home home_ = Home::entry;
  Readiness readiness_{};
  std::uint32_t place_ = 0;
  Reactor* reactor_ = nullptr;
  LocalWaker waker_;
};

namespace detail {

// What an FdSource is to a backend that remembers readiness for it. Detached when destroyed. The executor's thread only.
class FdRegistration {
 public:
  explicit FdRegistration(int fd) noexcept : fd_(fd) {}
  ~FdRegistration() { detach(); }
  FdRegistration(const FdRegistration&) = delete;
  FdRegistration& operator=(const FdRegistration&) = delete;

  int fd() const noexcept { return fd_; }
  bool is_attached() const noexcept { return reactor_ != nullptr; }
  void detach() noexcept;

  // What is believed of the fd: a system call is worth a try. Set by the backend, cleared by the source.
  bool readable = true;
  bool writable = true;
  bool ended = false;   // HUP, RDHUP or ERR was seen: reading and writing say something new to the end
  bool urgent = false;  // PRI was seen: a read may stop short at the mark

 private:
  friend class assay::Reactor;
  int fd_;
  Reactor* reactor_ = nullptr;
};

}  // namespace detail

// A backend. The executor's thread only.
class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  virtual ~Reactor() { let_go_of_all(); }

  // Starts to wait, once: the first event of the fd (HUP, ERR and NVAL included) makes `wait` ready and wakes the waker.
  // Any number of waits may watch one fd. May throw std::bad_alloc.
  ASSAY_RUNS_OTHERS void watch(FdWait& wait, const LocalWaker& waker) ASSAY_NONBLOCKING;

  // The waker of a wait, when its task is polled with another one.
  ASSAY_RUNS_OTHERS static void update(FdWait& wait, const LocalWaker& waker) ASSAY_NONBLOCKING;

  // Blocks until an fd is ready, `wakeup_fd` is readable, or the time has passed (none: for ever; zero: only looks); wakes
  // what is ready. True: wakeup_fd is readable.
  virtual bool wait(int wakeup_fd, std::optional<Duration> timeout) = 0;

  // How many waits there are.
  virtual std::size_t size() const noexcept = 0;

  // `wakeup_fd` is about to be closed, or will not be waited for any more.
  virtual void forget_wakeup(int wakeup_fd) noexcept { static_cast<void>(wakeup_fd); }

  // From now on the backend notes in `source` what the fd becomes ready for, while something waits for the fd or not; from
  // the first wait for each direction on. False: this backend does not, or not for this fd. Not attached yet. May throw
  // std::bad_alloc.
  bool attach(detail::FdRegistration& source);

  // Aborts unless each wait knows its place; returns how many there are. O(waits).
  std::size_t check_deep() const noexcept;

  // Calls visit(fd, poll events) for each wait.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const FdWait* wait : waits_) {
      if (wait != nullptr) visit(wait->fd(), poll_events(wait->interest()));
    }
  }

  static short poll_events(Interest interest) noexcept ASSAY_NONBLOCKING;
  static Readiness readiness_of(short events) noexcept;

 protected:
  // To be called by the backend when `wait` is ready; the wait is unlinked before its waker is used.
  ASSAY_RUNS_OTHERS void make_ready(FdWait& wait, Readiness readiness) ASSAY_NONBLOCKING;
  // Nothing waits any more. A backend whose members run code of others when they go calls it first in its destructor.
  void let_go_of_all() noexcept;

  // The wait in place `place` of the backend's table, or null.
  FdWait* wait_in(std::size_t place) const noexcept { return waits_.at(place); }
  std::size_t places() const noexcept { return waits_.size(); }

  ASSAY_RUNS_OTHERS virtual void added(FdWait& wait) ASSAY_NONBLOCKING = 0;  // as the last place
  // At once, also while a batch is dispatched.
  virtual void leaving(FdWait& wait) noexcept ASSAY_NONBLOCKING { static_cast<void>(wait); }
  // The last place moves into `place`, unless it is the last.
  virtual void removed(std::size_t place) noexcept ASSAY_NONBLOCKING = 0;

  virtual bool attached(detail::FdRegistration& source) {
    static_cast<void>(source);
    return false;
  }
  virtual void detached(detail::FdRegistration& source) noexcept { static_cast<void>(source); }
  // By the backend: the source is not attached any more, and its waits must do without.
  void let_go(detail::FdRegistration& source) noexcept;
  std::size_t sources() const noexcept { return sources_; }
  const Reactor* reactor_of(const detail::FdRegistration& source) const noexcept { return source.reactor_; }

  // Aborts unless the backend's own structures hold.
  virtual void check_backend() const noexcept {}

  // While an event batch is dispatched, places keep their numbers; leaving closes the gaps.
  void enter_batch() noexcept;
  void leave_batch() noexcept;

 private:
  friend class FdWait;
  friend class detail::FdRegistration;
  void add_or_undo(FdWait& wait);
  void unlink(FdWait& wait) noexcept ASSAY_NONBLOCKING;
  void close_gap(std::size_t place) noexcept ASSAY_NONBLOCKING;
  void take_ownership() noexcept ASSAY_NONBLOCKING;
  void check_owner() const noexcept ASSAY_NONBLOCKING;

  std::vector<FdWait*> waits_;
  std::uint64_t owner_ = 0;  // the thread of all waits and sources
  std::size_t sources_ = 0;
  std::size_t gaps_ = 0;
  bool in_batch_ = false;
};

class PollReactor final : public Reactor {
 public:
  bool wait(int wakeup_fd, std::optional<Duration> timeout) override;
  std::size_t size() const noexcept override { return entries_.empty() ? 0 : entries_.size() - 1; }

 private:
  ASSAY_RUNS_OTHERS void added(FdWait& wait) ASSAY_NONBLOCKING override;
  void removed(std::size_t place) noexcept ASSAY_NONBLOCKING override;

  std::vector<pollfd> entries_;  // the first is the wakeup fd; entry i + 1 belongs to place i
};

}  // namespace assay
