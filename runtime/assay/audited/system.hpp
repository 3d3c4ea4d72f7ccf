// Purpose: every system call of the runtime, and the file descriptors that it owns.
// Thread rules: wait() of a Wakeup's fd by its owner; Wakeup::raise from any thread and from a signal handler.
// Invariants:
//  (1) A call interrupted by a signal is retried, or reported as "nothing happened" where the caller loops anyway.
//  (2) An Fd closes its number once; a number that is not ours to close any more aborts.
//  (3) Calls go through one table, so that a test can make each of them fail. The table outlives its use.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "assay/base/attributes.hpp"

namespace assay::audited {

struct SystemCalls {
  int (*ppoll)(pollfd* fds, nfds_t count, const timespec* timeout);
  ssize_t (*read)(int fd, void* bytes, std::size_t size);
  ssize_t (*write)(int fd, const void* bytes, std::size_t size);
  int (*close)(int fd);
  int (*eventfd)(unsigned initial, int flags);
  int (*epoll_create1)(int flags);
  int (*epoll_ctl)(int epoll, int operation, int fd, epoll_event* event);
  int (*timerfd_create)(int clock, int flags);
  int (*timerfd_settime)(int fd, int flags, const itimerspec* next);
};

// The real ones.
const SystemCalls& real_system_calls() noexcept;

// For fault injection: `calls` serves all threads until the next call of this; null brings the real ones back.
ASSAY_UNSAFE void replace_system_calls(const SystemCalls* calls) noexcept;

// One write(2) to stderr, for the last words of a program. What cannot be written is lost.
void write_to_stderr(std::string_view text) noexcept;

// Owns a file descriptor.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int number) noexcept : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd();

  int number() const noexcept { return number_; }
  bool is_open() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

// An eventfd: makes a blocked owner return.
class Wakeup {
 public:
  Wakeup();  // throws std::system_error
  int fd() const noexcept { return fd_.number(); }
  void raise() noexcept;
  void clear() noexcept;

 private:
  Fd fd_;
};

// Blocks until an fd is ready, or for `nanoseconds` (none: for ever). Returns how many are ready; 0 also when a signal came.
// Aborts when the kernel refuses the call.
int wait_for(std::span<pollfd> fds, std::optional<std::int64_t> nanoseconds) noexcept;

// An epoll set and a timer, to show the outside world as one pollable fd what an executor waits for.
class PollableSet {
 public:
  PollableSet();  // throws std::system_error
  int fd() const noexcept { return epoll_.number(); }

  // Watches `fd` for EPOLL* events from now on (level-triggered), whether or not it was watched. False: the kernel cannot
  // poll this fd (a regular file, or closed).
  bool watch(int fd, std::uint32_t events) noexcept;
  void forget(int fd) noexcept;

  // The set becomes ready in so many nanoseconds; none: no timer.
  void set_timer(std::optional<std::int64_t> nanoseconds) noexcept;

 private:
  Fd epoll_;
  Fd timer_;
};

}  // namespace assay::audited
