// The file descriptors that the runtime owns, and waiting for others'.
#pragma once

#include <poll.h>

#include <cstdint>
#include <ctime>
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

timespec to_timespec(std::int64_t nanoseconds) noexcept;

// audited::fail() with what an errno means, also when there is no memory left for its text.
[[noreturn]] void fail_with_errno(const char* message, const char* file, int line, int error) noexcept;

// Blocks until an fd is ready, or for `nanoseconds` (none: for ever). Returns how many are ready; 0 also when a signal came.
// Aborts when the kernel refuses the call.
int wait_for(std::span<pollfd> fds, std::optional<std::int64_t> nanoseconds) noexcept;

// An epoll set (inside another, so that it can be replaced) and a timer, to show the outside world as one pollable fd what an executor waits for.
class PollableSet {
 public:
  // Watches the executor's wakeup fd, and its own timer. Throws std::system_error.
  explicit PollableSet(int wakeup_fd);
  int fd() const noexcept { return outer_.number(); }

  // Watches `fd` for EPOLL* events from now on (level-triggered), whether or not it was watched.
  enum class Watch : std::uint8_t {
    changed,  // it was watched before
    added,    // it was not: if the caller has watched this number, that was another file
    refused,  // the kernel cannot poll this fd (a regular file, or closed)
  };
  Watch watch(int fd, std::uint32_t events) noexcept;
  // False: this number does not name the file any more that was watched.
  bool forget(int fd) noexcept;
  // When a watched number was closed, or names another file, and a copy of the old file lives on (dup, fork), the kernel goes on
  // reporting what nobody can name any more: a new set is made, and everything must be watched again.
  // From now on nothing is watched but the wakeup fd and the timer. fd() stays what it is. False: no file descriptor was to be
  // had, and the set is as it was.
  bool renew() noexcept;

  // The set becomes ready in so many nanoseconds; none: no timer.
  void set_timer(std::optional<std::int64_t> nanoseconds) noexcept;

 private:
  Fd outer_;
  Fd timer_;
  int wakeup_fd_;
  std::optional<Fd> inner_;
};

}  // namespace assay::detail
