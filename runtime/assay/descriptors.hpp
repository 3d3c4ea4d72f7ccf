// The file descriptors that the runtime owns, and waiting for others'.
#pragma once

#include <poll.h>

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace assay::detail {

// Owns a file descriptor: closes its number once, and aborts when somebody else has closed it.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int number) noexcept : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd();

  int number() const noexcept { return number_; }

 private:
  int number_ = -1;
};

// An eventfd: makes a blocked owner return.
class Wakeup {
 public:
  Wakeup();  // throws std::system_error
  int fd() const noexcept { return fd_.number(); }
  // Any thread, and a signal handler.
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
  // Watches the executor's wakeup fd, and its own timer. Throws std::system_error.
  explicit PollableSet(int wakeup_fd);
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

}  // namespace assay::detail
