// A program run as a subprocess: its stdin to write, its output to wait for, its end to wait for, all with a deadline.
//
//   Subprocess echo({"build/examples/echo", "--port", "0"});
//   std::optional<std::string> line = echo.wait_for_line("listening on");
//   echo.signal(SIGINT);
//   CHECK(echo.wait() == 0);
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

extern "C" char** environ;

namespace assay::testkit {

struct SubprocessOptions {
  bool terminal = false;              // its stdout is a terminal (80 x 24), not a pipe
  bool no_stdin = false;              // its stdin is closed
  std::chrono::seconds deadline{60};  // for each wait
};

// One thread. Killed, and waited for, when destroyed before its end.
class Subprocess {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Subprocess(const std::vector<std::string>& command, SubprocessOptions options = {}) : options_(options) {
    int out_child = -1;
    int in_child = -1;
    if (options.terminal) {
      out_ = checked(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt");
      checked(::grantpt(out_), "grantpt");
      checked(::unlockpt(out_), "unlockpt");
      std::array<char, 128> name{};
      checked(-::ptsname_r(out_, name.data(), name.size()), "ptsname_r");
      out_child = checked(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC), "open the terminal");
    } else {
      std::tie(out_, out_child) = pipe();
    }
    int error_child = -1;
    std::tie(error_, error_child) = pipe();
    std::tie(in_child, in_) = pipe();
    ::signal(SIGPIPE, SIG_IGN);  // a program that has ended makes write() fail, and no more

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in_child, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out_child, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, error_child, STDERR_FILENO);
    if (options.no_stdin) ::posix_spawn_file_actions_addclose(&actions, STDIN_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGUSR1}) ::sigaddset(&signals, signal);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = ::posix_spawn(&process_, arguments.front(), &actions, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    for (const int fd : {in_child, out_child, error_child}) ::close(fd);
    if (error != 0) {
      process_ = -1;
      close_all();
      throw std::system_error(error, std::generic_category(), "cannot start " + command.front());
    }
  }
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;
  ~Subprocess() {
    if (!status_ && process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    close_all();
  }

  pid_t process() const { return process_; }
  void signal(int number) const { ::kill(process_, number); }

  // False: the program has closed its stdin.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(in_, text.data(), text.size());
      if (written < 0 && errno != EINTR) return false;
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  void close_stdin() {
    if (in_ >= 0) ::close(std::exchange(in_, -1));
  }

  // All that it has written so far, as far as it was looked at.
  const std::string& output() const { return output_; }
  const std::string& error_output() const { return error_output_; }

  // The first line with `part` in it, after the lines that this has returned before. Empty: it did not come in time, or
  // the program has closed its output.
  std::optional<std::string> wait_for_line(std::string_view part) {
    const Clock::time_point deadline = Clock::now() + options_.deadline;
    for (;;) {
      for (std::size_t end = 0; (end = output_.find('\n', seen_)) != std::string::npos;) {
        std::string line = output_.substr(seen_, end - seen_);
        seen_ = end + 1;
        if (line.find(part) != std::string::npos) return line;
      }
      if (!read_more(deadline)) return std::nullopt;
    }
  }

  // Waits until `part` stands anywhere in the output from `from` on; returns where it ends.
  std::optional<std::size_t> wait_for_output(std::string_view part, std::size_t from = 0) {
    const Clock::time_point deadline = Clock::now() + options_.deadline;
    for (;;) {
      const std::size_t found = output_.find(part, from);
      if (found != std::string::npos) return found + part.size();
      if (!read_more(deadline)) return std::nullopt;
    }
  }

  // Reads its output to the end, and returns its exit code: minus the signal's number if one killed it. Empty: it did
  // not end in time.
  std::optional<int> wait() {
    const Clock::time_point deadline = Clock::now() + options_.deadline;
    while (read_more(deadline)) {
    }
    while (!status_) {
      int status = 0;
      const pid_t ended = ::waitpid(process_, &status, WNOHANG);
      if (ended == process_) {
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      } else if (Clock::now() >= deadline) {
        return std::nullopt;
      } else {
        ::poll(nullptr, 0, 1);
      }
    }
    return status_;
  }

 private:
  static int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
  }
  static std::pair<int, int> pipe() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    return {ends[0], ends[1]};
  }

  // False: both outputs have ended, or the deadline has.
  bool read_more(Clock::time_point deadline) {
    if (out_ < 0 && error_ < 0) return false;
    std::array<pollfd, 2> entries{pollfd{out_, POLLIN, 0}, pollfd{error_, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (::poll(entries.data(), entries.size(), static_cast<int>(left)) < 0) return errno == EINTR;
    if (entries.at(0).revents != 0) read_into(out_, output_);
    if (entries.at(1).revents != 0) read_into(error_, error_output_);
    return true;
  }
  static void read_into(int& fd, std::string& text) {
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got > 0) {
      text.append(bytes.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {  // a terminal ends with EIO
      ::close(std::exchange(fd, -1));
    }
  }
  void close_all() {
    for (int* const fd : {&in_, &out_, &error_}) {
      if (*fd >= 0) ::close(std::exchange(*fd, -1));
    }
  }

  SubprocessOptions options_;
  pid_t process_ = -1;
  int in_ = -1;
  int out_ = -1;
  int error_ = -1;
  std::optional<int> status_;
  std::string output_;
  std::string error_output_;
  std::size_t seen_ = 0;
};

}  // namespace assay::testkit
