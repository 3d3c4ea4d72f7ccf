// Where the example programs are, and a client for their sockets.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor_files.hpp"

namespace assay::test {

inline std::string example(const std::string& name) { return std::string(ASSAY_EXAMPLES_DIR) + "/" + name; }

// UBSan looks at an object's type through a pipe that it opens, and takes the object for broken when it cannot.
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define ASSAY_TOOL_NEEDS_FILES 1
#endif
#endif
#if defined(ASSAY_TOOL_NEEDS_FILES)
inline constexpr bool tool_needs_files = true;
#else
inline constexpr bool tool_needs_files = false;
#endif

// `command`, given so few file descriptors that it cannot raise the limit again.
inline std::vector<std::string> with_files(int limit, std::vector<std::string> command) {
  std::vector<std::string> words{"/bin/sh", "-c", "ulimit -n " + std::to_string(limit) + " && exec \"$0\" \"$@\""};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

// The processor time that a running child process has used so far.
inline std::chrono::nanoseconds processor_time(pid_t process) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &used) != 0) std::abort();
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

// A folder of its own, gone at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "assay-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// A blocking stream socket whose calls give up after half a minute.
class Client {
 public:
  static std::optional<Client> tcp(std::uint16_t port) {
    Client client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(client.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
    return client;
  }
  static std::optional<Client> unix_socket(const std::string& path) {
    Client client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(client.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
    return client;
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // `size` bytes, or what came before the other side closed or half a minute was over.
  std::string receive(std::size_t size) const {
    std::string all;
    std::array<char, 4096> bytes{};
    while (all.size() < size && becomes_readable(fd_)) {
      const ssize_t got = ::recv(fd_, bytes.data(), std::min(bytes.size(), size - all.size()), 0);
      if (got <= 0) break;
      all.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  // To the end of the next line, which is left out.
  std::string receive_line() const {
    std::string line;
    for (;;) {
      const std::string byte = receive(1);
      if (byte.empty() || byte == "\n") return line;
      line += byte;
    }
  }
  // Nothing comes for so long.
  bool is_silent_for(std::chrono::milliseconds time) const {
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, static_cast<int>(time.count())) == 0;
  }
  // True: the other side has closed, and nothing was left to read.
  bool is_closed() const { return receive(1).empty(); }
  void finish_sending() const { ::shutdown(fd_, SHUT_WR); }
  // The other side sees a connection that broke.
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(std::exchange(fd_, -1));
  }

 private:
  explicit Client(int fd) : fd_(fd) {
    const timeval limit{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  int fd_;
};

}  // namespace assay::test
