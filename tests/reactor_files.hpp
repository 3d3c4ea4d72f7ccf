// Pipes and sockets for tests, and what /proc knows about this process.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "assay/executor.hpp"
#include "assay/time.hpp"

namespace assay::test {

inline int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

// Two connected non-blocking file descriptors: what is written to the one comes out of the other. There is little room in between,
// since tests fill it thousands of times.
class Pair {
 public:
  Pair() = default;
  explicit Pair(std::array<int, 2> ends) : ends_(ends) {}
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    close_reader();
    close_writer();
  }

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_reader() { close_end(0); }
  void close_writer() { close_end(1); }

  void write(std::string_view text) {
    if (::write(writer(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  }
  // All that is there now.
  std::string read() {
    std::array<char, 4096> bytes{};
    std::string all;
    for (ssize_t got = 0; (got = ::read(reader(), bytes.data(), bytes.size())) > 0;) {
      all.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  // Writes until no more goes in.
  void fill() {
    const std::string bytes(4096, 'x');
    while (::write(writer(), bytes.data(), bytes.size()) > 0) {
    }
    while (::write(writer(), bytes.data(), 1) > 0) {
    }
  }

 protected:
  static constexpr int room = 16 * 1024;
  std::array<int, 2> ends_{-1, -1};

 private:
  void close_end(std::size_t which) {
    if (const int fd = std::exchange(ends_.at(which), -1); fd >= 0) ::close(fd);
  }
};

class Pipe : public Pair {
 public:
  Pipe() {
    checked(::pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC), "pipe2");
    checked(::fcntl(writer(), F_SETPIPE_SZ, room), "F_SETPIPE_SZ");
  }
};

// Both ends can do both.
class SocketPair : public Pair {
 public:
  SocketPair() {
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()), "socketpair");
    for (const int end : ends_) checked(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), "SO_SNDBUF");
  }
};

inline std::size_t open_files() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

// Allows `count` open files if the system does; returns how many there may be.
inline std::size_t allow_files(std::size_t count) {
  rlimit limit{};
  checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  if (limit.rlim_cur < count) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, count);
    checked(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  }
  return static_cast<std::size_t>(limit.rlim_cur);
}

// What poll(2) says about one fd, right now.
inline short poll_now(int fd, short events = POLLIN) {
  pollfd entry{fd, events, 0};
  checked(::poll(&entry, 1, 0), "poll");
  return entry.revents;
}
inline bool is_readable(int fd) { return (poll_now(fd) & POLLIN) != 0; }

// Blocks until the fd is readable. False: not within half a minute.
inline bool becomes_readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 30'000) == 1;
}

inline pid_t thread_number() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

// Returns once the kernel says that the thread sleeps: not to make a race, but to have the case where it does.
inline void until_asleep(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (;;) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(')');
    if (name_end != std::string::npos && line.size() > name_end + 2 && line.at(name_end + 2) == 'S') return;
    std::this_thread::yield();
  }
}

// Sleeps a millisecond in the executor, and again until `done()`: on a slow machine the first may be over before anything has
// slept. Not for ever: the caller looks whether it happened.
template <class Done>
void nap_until(Executor& executor, Done done) {
  int naps = 0;
  do executor.block_on(assay::sleep(std::chrono::milliseconds(1)));
  while (!done() && ++naps < 1000);
}

}  // namespace assay::test
