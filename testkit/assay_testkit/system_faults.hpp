// Makes chosen system calls of the runtime fail, counts them all, and tells when one is about to block.
//
//   SystemFaults faults;
//   faults.fail(SystemCall::eventfd, EMFILE);
//   REQUIRE_THROWS_AS(Executor(), std::system_error);
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "assay/audited/system.hpp"
#include "assay/base/check.hpp"

namespace assay::testkit {

enum class SystemCall : std::uint8_t {
  ppoll,
  read,
  write,
  send,
  close,
  eventfd,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  epoll_pwait2,
  timerfd_create,
  timerfd_settime,
};

// One at a time; holds for all threads from its construction to its destruction. Change it while no other thread calls.
class SystemFaults {
 public:
  static constexpr std::uint64_t for_ever = std::numeric_limits<std::uint64_t>::max();

  SystemFaults() {
    ASSAY_CHECK(current == nullptr, "testkit: two SystemFaults at the same time");
    current = this;
    audited::replace_system_calls(&table);
  }
  ~SystemFaults() {
    audited::replace_system_calls(nullptr);
    current = nullptr;
  }
  SystemFaults(const SystemFaults&) = delete;
  SystemFaults& operator=(const SystemFaults&) = delete;

  // From now on `successes` calls of this kind are made, then `times` calls fail with `error`, without being made (a
  // failing close closes, as on Linux).
  void fail(SystemCall call, int error, std::uint64_t successes = 0, std::uint64_t times = 1) {
    Plan& plan = plan_of(call);
    plan.error = error;
    plan.first = plan.calls + successes;
    plan.last = times == for_ever ? for_ever : plan.first + times;
  }
  void stop(SystemCall call) { plan_of(call).error = 0; }

  // How many calls there were, those that failed included; and how many were made to fail.
  std::uint64_t calls(SystemCall call) const { return plans_.at(static_cast<std::size_t>(call)).calls; }
  std::uint64_t failed(SystemCall call) const { return plans_.at(static_cast<std::size_t>(call)).failed; }

  // Called on the waiting thread right before each call that may block to wait for file descriptors.
  std::function<void()> before_blocking{};

 private:
  struct Plan {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::uint64_t> failed{0};
    std::atomic<int> error{0};
    std::atomic<std::uint64_t> first{0};
    std::atomic<std::uint64_t> last{0};
  };

  static inline constinit std::atomic<SystemFaults*> current{nullptr};

  Plan& plan_of(SystemCall call) { return plans_.at(static_cast<std::size_t>(call)); }

  static bool fails(SystemCall call) {
    Plan& plan = current.load()->plan_of(call);
    const std::uint64_t number = plan.calls++;
    const int error = plan.error;
    if (error == 0 || number < plan.first || number >= plan.last) return false;
    ++plan.failed;
    errno = error;
    return true;
  }

  static void tell_if(bool blocks) {
    const std::function<void()>& hook = current.load()->before_blocking;
    if (blocks && hook) hook();
  }

  static const audited::SystemCalls table;

  std::array<Plan, 12> plans_;
};

constinit inline const audited::SystemCalls SystemFaults::table{
    [](pollfd* fds, nfds_t count, const timespec* timeout) {
      if (fails(SystemCall::ppoll)) return -1;
      tell_if(timeout == nullptr || timeout->tv_sec > 0 || timeout->tv_nsec > 0);
      return audited::real_system_calls().ppoll(fds, count, timeout);
    },
    [](int fd, void* bytes, std::size_t size) {
      return fails(SystemCall::read) ? ssize_t{-1} : audited::real_system_calls().read(fd, bytes, size);
    },
    [](int fd, const void* bytes, std::size_t size) {
      return fails(SystemCall::write) ? ssize_t{-1} : audited::real_system_calls().write(fd, bytes, size);
    },
    [](int fd, const void* bytes, std::size_t size, int flags) {
      return fails(SystemCall::send) ? ssize_t{-1} : audited::real_system_calls().send(fd, bytes, size, flags);
    },
    [](int fd) {
      const int result = audited::real_system_calls().close(fd);
      return fails(SystemCall::close) ? -1 : result;
    },
    [](unsigned initial, int flags) {
      return fails(SystemCall::eventfd) ? -1 : audited::real_system_calls().eventfd(initial, flags);
    },
    [](int flags) { return fails(SystemCall::epoll_create1) ? -1 : audited::real_system_calls().epoll_create1(flags); },
    [](int epoll, int operation, int fd, epoll_event* event) {
      return fails(SystemCall::epoll_ctl) ? -1 : audited::real_system_calls().epoll_ctl(epoll, operation, fd, event);
    },
    [](int epoll, epoll_event* events, int count, int milliseconds) {
      if (fails(SystemCall::epoll_wait)) return -1;
      tell_if(milliseconds != 0);
      return audited::real_system_calls().epoll_wait(epoll, events, count, milliseconds);
    },
    [](int epoll, epoll_event* events, int count, const timespec* timeout) {
      if (fails(SystemCall::epoll_pwait2)) return -1;
      tell_if(timeout == nullptr || timeout->tv_sec > 0 || timeout->tv_nsec > 0);
      return audited::real_system_calls().epoll_pwait2(epoll, events, count, timeout);
    },
    [](int clock, int flags) {
      return fails(SystemCall::timerfd_create) ? -1 : audited::real_system_calls().timerfd_create(clock, flags);
    },
    [](int fd, int flags, const itimerspec* next) {
      return fails(SystemCall::timerfd_settime) ? -1 : audited::real_system_calls().timerfd_settime(fd, flags, next);
    },
};

}  // namespace assay::testkit
