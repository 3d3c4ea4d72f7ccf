// What the reactor tests run on: poll(2) and epoll with real files, and the simulated reactor with scripted ones. All give:
//
//   reactor()              for ExecutorOptions
//   open_socket()          an fd that is writable and not readable
//   open_reader()          the reading end of an empty pipe
//   open_writer()          the writing end of a full pipe
//   make_readable, make_unreadable(fd of open_socket or open_reader)
//   hang_up(reader)        HUP without IN
//   break_off(writer)      ERR without OUT
//   close(fd)              NVAL from now on
//   reopen(fd)             closes it, and gives its number to a new open_reader()
//   while_parked(action)   the action runs the next time the executor is about to sleep, once
//   sees_closing           whether a wait is told at once when its fd is closed
#pragma once

#include <poll.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "assay/epoll_reactor.hpp"
#include "assay/reactor.hpp"
#include "assay_testkit/simulated_reactor.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"

namespace assay::test {

template <class RealReactor, bool tells_of_closing, unsigned... arguments>
class RealBackend {
 public:
  static constexpr bool sees_closing = tells_of_closing;

  RealBackend() {
    calls_.before_blocking = [this] {
      if (const auto action = std::exchange(parked_, nullptr)) action();
    };
  }
  RealBackend(const RealBackend&) = delete;
  RealBackend& operator=(const RealBackend&) = delete;
  ~RealBackend() {
    for (const auto& [fd, peer] : peers_) {
      if (fd >= 0) ::close(fd);
      if (peer >= 0) ::close(peer);
    }
  }

  Reactor& reactor() { return reactor_; }
  testkit::SystemFaults& calls() { return calls_; }
  const testkit::SystemFaults& calls() const { return calls_; }

  int open_socket() {
    std::array<int, 2> ends{};
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
    return keep(ends[0], ends[1]);
  }
  int open_reader() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_NONBLOCK), "pipe2");
    return keep(ends[0], ends[1]);
  }
  int open_writer() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_NONBLOCK), "pipe2");
    while (::write(ends[1], "x", 1) == 1) {
    }
    return keep(ends[1], ends[0]);
  }

  void make_readable(int fd) {
    if (::write(peers_.at(fd), "x", 1) != 1) std::abort();
  }
  void make_unreadable(int fd) {
    char byte = 0;
    while (::read(fd, &byte, 1) == 1) {
    }
  }
  void hang_up(int reader) { ::close(std::exchange(peers_.at(reader), -1)); }
  void break_off(int writer) { ::close(std::exchange(peers_.at(writer), -1)); }
  void close(int fd) {
    ::close(fd);
    ::close(peers_.at(fd));
    peers_.erase(fd);
  }
  void reopen(int fd) {
    ::close(fd);
    ::close(peers_.at(fd));
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_NONBLOCK), "pipe2");
    if (ends[1] == fd) {  // the number must be the reader's
      ends[1] = checked(::dup(fd), "dup");
      checked(::dup2(ends[0], fd), "dup2");
      ::close(ends[0]);
    } else if (ends[0] != fd) {
      checked(::dup2(ends[0], fd), "dup2");
      ::close(ends[0]);
    }
    peers_[fd] = ends[1];
  }
  void while_parked(std::function<void()> action) { parked_ = std::move(action); }

 private:
  int keep(int fd, int peer) {
    peers_[fd] = peer;
    return fd;
  }

  testkit::SystemFaults calls_;
  RealReactor reactor_{arguments...};
  std::map<int, int> peers_;
  std::function<void()> parked_;
};

using PollBackend = RealBackend<PollReactor, true>;
using EpollBackend = RealBackend<EpollReactor, false>;
// Generations of one bit: they wrap all the time.
using NarrowEpollBackend = RealBackend<EpollReactor, false, 1>;

class SimulatedBackend {
 public:
  static constexpr bool sees_closing = true;

  SimulatedBackend() {
    reactor_.on_park = [this](std::optional<Duration>) {
      if (const auto action = std::exchange(parked_, nullptr)) action();
    };
  }

  Reactor& reactor() { return reactor_; }

  int open_socket() { return open(POLLOUT); }
  int open_reader() { return open(0); }
  int open_writer() { return open(0); }

  void make_readable(int fd) { set(fd, levels_[fd] | POLLIN); }
  void make_unreadable(int fd) { set(fd, levels_[fd] & ~POLLIN); }
  void hang_up(int reader) { set(reader, POLLHUP); }
  void break_off(int writer) { set(writer, POLLERR); }
  void close(int fd) { set(fd, POLLNVAL); }
  void reopen(int fd) { set(fd, 0); }
  void while_parked(std::function<void()> action) { parked_ = std::move(action); }

 private:
  int open(int events) {
    set(next_, events);
    return next_++;
  }
  void set(int fd, int events) {
    levels_[fd] = events;
    reactor_.set(fd, events);
  }

  testkit::SimulatedReactor reactor_;
  std::map<int, int> levels_;
  int next_ = 100;
  std::function<void()> parked_;
};

}  // namespace assay::test
