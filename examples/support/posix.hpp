// The few things of POSIX that the examples share: owned file descriptors, errors as exceptions, signals to read.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace posix {

// Throws what errno says, with `what` the program was about to do.
[[noreturn]] inline void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Owns a file descriptor.
class Fd {
 public:
  Fd() noexcept = default;
  // Takes over what a system call has returned; throws if it was an error.
  Fd(int number, const std::string& what) : number_(number) {
    if (number < 0) fail(what);
  }
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() { close(); }

  int number() const noexcept { return number_; }
  void close() noexcept {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

// A program may be started with stdin, stdout or stderr closed. What it opens must not take their numbers.
inline void fill_standard_files() {
  int number = 0;
  do {
    number = ::open("/dev/null", O_RDWR);
  } while (number >= 0 && number <= STDERR_FILENO);
  if (number >= 0) ::close(number);
}

// Nothing to read or write just now: wait for the fd and try again.
inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

// These signals are not delivered any more, but read from the fd. To be called before any thread is started.
inline Fd take_signals(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) fail("cannot block signals");
  return Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "cannot read signals");
}

// The next signal of take_signals(), if one is there.
inline std::optional<int> read_signal(const Fd& signals) {
  signalfd_siginfo info{};
  for (;;) {
    if (::read(signals.number(), &info, sizeof info) == ssize_t{sizeof info}) return static_cast<int>(info.ssi_signo);
    if (errno != EINTR) return std::nullopt;
  }
}

// A number from the command line: all of the text, and within its bounds, or nothing.
inline std::optional<int> parse_number(std::string_view text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

}  // namespace posix
