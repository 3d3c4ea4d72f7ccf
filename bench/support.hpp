// What several C++ contenders need beside their library: fds, the echo client, pseudo-random deadlines, a peer thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "harness.hpp"

extern char** environ;

namespace bench {

[[noreturn]] inline void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

class Fd {
 public:
  Fd() = default;
  Fd(int number, const char* what) : number_(number) {
    if (number < 0) fail(what);
  }
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

inline Fd make_eventfd() { return Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"); }
inline void raise(int eventfd) {
  const std::uint64_t one = 1;
  if (::write(eventfd, &one, sizeof one) != sizeof one) fail("write to an eventfd");
}
// False: it was not raised.
inline bool lower(int eventfd) {
  std::uint64_t value = 0;
  return ::read(eventfd, &value, sizeof value) == sizeof value;
}

// Makes room for `count` more fds; the row is left out where that is not allowed.
inline void need_fds(std::uint64_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  const std::uint64_t wanted = count + 64;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted) limit.rlim_max = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw Skip("RLIMIT_NOFILE of " + std::to_string(wanted) + " is not allowed here");
  }
}

inline std::vector<Fd> idle_fds(std::uint64_t count) {
  need_fds(count);
  std::vector<Fd> all;
  all.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(make_eventfd());
  return all;
}

// One half of each of `count` connected pairs.
inline std::vector<std::pair<Fd, Fd>> socket_pairs(std::uint64_t count) {
  need_fds(2 * count);
  std::vector<std::pair<Fd, Fd>> all;
  all.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) != 0) fail("socketpair");
    all.emplace_back(Fd(both[0], "socketpair"), Fd(both[1], "socketpair"));
  }
  return all;
}

// ---- Echo: the server is the contender, the client is bench_echo_client, the same for all ------------------------------

constexpr std::size_t echo_buffer_bytes = 4096;  // a message has 64: a read that fills less has read all there is

inline Fd listen_on_any_port(std::uint16_t& port) {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (::listen(listener.number(), 1024) != 0) fail("listen");
  socklen_t size = sizeof address;
  if (::getsockname(listener.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  port = ntohs(address.sin_port);
  return listener;
}

class EchoClient {
 public:
  // Connects `connections` times, and exchanges a message for each operation, on each connection one at a time.
  EchoClient(std::uint16_t port, std::uint64_t connections, const Run& run) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    output_ = Fd(ends[0], "pipe");
    const Fd write_end(ends[1], "pipe");
    const std::string program = program_folder() + "/bench_echo_client";
    std::string arguments[] = {program, std::to_string(port), std::to_string(connections), std::to_string(run.operations()),
                               run.slowdown() > 1 ? "500" : "0"};
    char* pointers[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), arguments[3].data(), arguments[4].data(),
                        nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pin(Side::counterpart);  // the client inherits it
    errno = ::posix_spawn(&child_, program.c_str(), &actions, nullptr, pointers, environ);
    const int error = errno;
    pin(Side::runtime);
    errno = error;
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0) fail("cannot start " + program);
  }
  EchoClient(const EchoClient&) = delete;
  EchoClient& operator=(const EchoClient&) = delete;

  // How long the messages took. Waits for the client's end.
  std::uint64_t nanoseconds() {
    char text[64] = {};
    const ssize_t got = ::read(output_.number(), text, sizeof text - 1);
    int status = 0;
    ::waitpid(child_, &status, 0);
    if (got <= 0 || status != 0) throw std::runtime_error("bench_echo_client failed");
    return std::strtoull(text, nullptr, 10);
  }

 private:
  pid_t child_ = -1;
  Fd output_;
};

// ---- Time --------------------------------------------------------------------------------------------------------------

// splitmix64: the same sequence for all contenders.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
  }

 private:
  std::uint64_t state_;
};

// Delays of one minute to one hour, for timers that do not fire during the run.
constexpr std::uint64_t second_ns = 1'000'000'000;
inline std::uint64_t far_delay_ns(Random& random) { return 60 * second_ns + random.next() % (3540 * second_ns); }
constexpr std::size_t far_delay_count = 1024;  // a power of two
inline std::vector<std::uint64_t> far_delays() {
  Random random(42);
  std::vector<std::uint64_t> all(far_delay_count);
  for (std::uint64_t& each : all) each = far_delay_ns(random);
  return all;
}

// Row timers_fired: all deadlines are within a window that begins when `count` timers have surely been armed.
constexpr std::uint64_t fire_window_ns = 1'000'000;
inline std::uint64_t fire_start_ns(const Run& run) {
  return now_ns() + 20'000'000 + static_cast<std::uint64_t>(static_cast<double>(run.operations()) * 5000 * run.slowdown());
}
// Sleeps, in the executor's thread, until all are due; 2 ms more, because tokio's clock ticks in milliseconds. A row in which some
// were due before all were armed has fired them already, outside of what is measured: it fails.
inline void sleep_until_all_due(std::uint64_t start_ns) {
  if (now_ns() >= start_ns) throw std::runtime_error("timers were due before all were armed: this machine is too busy");
  const std::uint64_t until = start_ns + fire_window_ns + 2'000'000;
  while (now_ns() < until) {
    const std::uint64_t left = until - now_ns();
    const timespec pause{static_cast<time_t>(left / second_ns), static_cast<long>(left % second_ns)};
    ::nanosleep(&pause, nullptr);
  }
}

// ---- Rows with a second thread ----------------------------------------------------------------------------------------

// What the second thread and the woken task share. `Signal` is whatever wakes the task.
//   row wake_parked: the thread waits until the executor sleeps, notes the time and wakes; the task notes when it runs.
//   row wake_busy:   the thread wakes and spins until the task has answered; another task of the executor never stops.
struct Handshake {
  alignas(64) std::atomic<std::uint64_t> requested = 0;
  alignas(64) std::atomic<std::uint64_t> answered = 0;
  alignas(64) std::atomic<std::uint64_t> sent_at = 0;
  std::uint64_t total_ns = 0;  // the task's: how long the wakes took

  // The task: answers what is requested. True: something was.
  bool answer() {
    const std::uint64_t request = requested.load(std::memory_order_acquire);
    if (request == answered.load(std::memory_order_relaxed)) return false;
    total_ns += now_ns() - sent_at.load(std::memory_order_relaxed);
    answered.store(request, std::memory_order_release);
    return true;
  }

  // The thread: one request.
  template <class Wake>
  void request(std::uint64_t number, Wake&& wake) {
    if (number == 1) pin(Side::counterpart);
    sent_at.store(now_ns(), std::memory_order_relaxed);
    requested.store(number, std::memory_order_release);
    wake();
    while (answered.load(std::memory_order_acquire) != number) {
    }
  }

  // The thread: `count` requests to an executor that sleeps.
  template <class Wake>
  void request_parked(std::uint64_t count, double slowdown, Wake&& wake) {
    const timespec pause{0, static_cast<long>(100'000 * slowdown)};  // until it surely sleeps
    for (std::uint64_t i = 1; i <= count; ++i) {
      ::nanosleep(&pause, nullptr);
      request(i, wake);
    }
  }
};

}  // namespace bench
