// Makes chosen system calls of the runtime fail, counts them all, and tells when one is about to block.
//
//   SystemFaults faults;
//   faults.fail(SystemCall::eventfd, EMFILE);
//   REQUIRE_THROWS_AS(Executor(), std::system_error);
#pragma once

#include <algorithm>
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
inline constexpr std::size_t system_call_count = 12;

inline const char* name_of(SystemCall call) noexcept {
  static constexpr std::array<const char*, system_call_count> names{
      "ppoll",     "read",       "write",        "send",           "close",           "eventfd", "epoll_create1",
      "epoll_ctl", "epoll_wait", "epoll_pwait2", "timerfd_create", "timerfd_settime"};
  return names.at(static_cast<std::size_t>(call));
}

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

  // From now on `successes` calls of this kind are made, then `times` calls fail with `error`, without being made (but a
  // failing close closes, as on Linux, and an eventfd that says EAGAIN to a write is readable).
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

  // From now on a read, write or send of more than 8 bytes (an eventfd has 8) asks the system for so many at most; 0: for all.
  void shorten(std::size_t bytes) noexcept { most_bytes_ = bytes; }

  // From now on each wait first reports everything that is waited for, once, as ready for all that was asked, and only the wait
  // after it asks the system: every second wait lies. Of at most 64 fds in epoll sets.
  void lie_about_readiness(bool lies) noexcept { lies_ = lies; }
  std::uint64_t lies() const noexcept { return lies_told_; }

  // Called on the waiting thread right before each call that may block to wait for file descriptors.
  std::function<void()> before_blocking{};

  // Called for each call of each thread, when it is known whether it is made to fail; errno is not kept. Null: nothing is called.
  using Observer = void (*)(SystemCall call, bool fails) noexcept;
  static inline constinit std::atomic<Observer> observer{nullptr};

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
    const bool fails = error != 0 && number >= plan.first && number < plan.last;
    if (const Observer tell = observer.load()) tell(call, fails);
    if (!fails) return false;
    ++plan.failed;
    errno = error;
    return true;
  }

  static std::size_t shortened(std::size_t size) {
    const std::size_t most = current.load()->most_bytes_;
    return most == 0 || size <= 8 ? size : std::min(size, most);
  }

  // What an epoll set waits for, as far as it was told through here.
  struct Told {
    int epoll = -1;
    int fd = -1;
    epoll_event event{};
  };
  void note_epoll(int epoll, int operation, int fd, const epoll_event* event) {
    const auto place = std::find_if(told_.begin(), told_.end(), [&](const Told& each) { return each.epoll == epoll && each.fd == fd; });
    if (operation == EPOLL_CTL_DEL) {
      if (place != told_.end()) *place = Told{};
      return;
    }
    const auto empty = std::find_if(told_.begin(), told_.end(), [](const Told& each) { return each.epoll < 0; });
    const auto target = place != told_.end() ? place : empty;
    if (target != told_.end()) *target = Told{epoll, fd, *event};
  }
  void forget_epoll(int fd) {
    for (Told& each : told_) {
      if (each.epoll == fd || each.fd == fd) each = Told{};
    }
  }
  bool lies_now() {
    if (!lies_) return false;
    lied_last_ = !lied_last_;
    return lied_last_;
  }
  int lie(int epoll, epoll_event* events, int count) {
    int told = 0;
    for (const Told& each : told_) {
      if (each.epoll != epoll || told == count) continue;
      events[told] = each.event;
      events[told].events &= EPOLLIN | EPOLLOUT;
      if (events[told].events != 0) ++told;
    }
    if (told > 0) ++lies_told_;
    return told;
  }
  int lie(pollfd* fds, nfds_t count) {
    int told = 0;
    for (nfds_t at = 0; at < count; ++at) {
      fds[at].revents = fds[at].fd >= 0 ? fds[at].events : short{0};
      if (fds[at].revents != 0) ++told;
    }
    if (told > 0) ++lies_told_;
    return told;
  }

  static void tell_if(bool blocks) {
    const std::function<void()>& hook = current.load()->before_blocking;
    if (blocks && hook) hook();
  }

  static const audited::SystemCalls table;

  std::array<Plan, system_call_count> plans_;
  std::atomic<std::size_t> most_bytes_{0};
  // Of waits and epoll sets; one thread only while it lies.
  std::array<Told, 64> told_{};
  bool lies_ = false;
  bool lied_last_ = false;
  std::uint64_t lies_told_ = 0;
};

constinit inline const audited::SystemCalls SystemFaults::table{
    [](pollfd* fds, nfds_t count, const timespec* timeout) {
      if (fails(SystemCall::ppoll)) return -1;
      if (current.load()->lies_now()) return current.load()->lie(fds, count);
      tell_if(timeout == nullptr || timeout->tv_sec > 0 || timeout->tv_nsec > 0);
      return audited::real_system_calls().ppoll(fds, count, timeout);
    },
    [](int fd, void* bytes, std::size_t size) {
      return fails(SystemCall::read) ? ssize_t{-1} : audited::real_system_calls().read(fd, bytes, shortened(size));
    },
    [](int fd, const void* bytes, std::size_t size) {
      if (!fails(SystemCall::write)) return audited::real_system_calls().write(fd, bytes, shortened(size));
      // An eventfd that is full is readable: it says EAGAIN to a write that was not needed.
      if (errno == EAGAIN && size == sizeof(std::uint64_t)) {
        static_cast<void>(!audited::real_system_calls().write(fd, bytes, size));
        errno = EAGAIN;
      }
      return ssize_t{-1};
    },
    [](int fd, const void* bytes, std::size_t size, int flags) {
      return fails(SystemCall::send) ? ssize_t{-1} : audited::real_system_calls().send(fd, bytes, shortened(size), flags);
    },
    [](int fd) {
      if (current.load()->lies_) current.load()->forget_epoll(fd);
      const int result = audited::real_system_calls().close(fd);
      return fails(SystemCall::close) ? -1 : result;
    },
    [](unsigned initial, int flags) {
      return fails(SystemCall::eventfd) ? -1 : audited::real_system_calls().eventfd(initial, flags);
    },
    [](int flags) { return fails(SystemCall::epoll_create1) ? -1 : audited::real_system_calls().epoll_create1(flags); },
    [](int epoll, int operation, int fd, epoll_event* event) {
      if (fails(SystemCall::epoll_ctl)) return -1;
      const int result = audited::real_system_calls().epoll_ctl(epoll, operation, fd, event);
      if (result == 0 && current.load()->lies_) current.load()->note_epoll(epoll, operation, fd, event);
      return result;
    },
    [](int epoll, epoll_event* events, int count, int milliseconds) {
      if (fails(SystemCall::epoll_wait)) return -1;
      if (current.load()->lies_now()) return current.load()->lie(epoll, events, count);
      tell_if(milliseconds != 0);
      return audited::real_system_calls().epoll_wait(epoll, events, count, milliseconds);
    },
    [](int epoll, epoll_event* events, int count, const timespec* timeout) {
      if (fails(SystemCall::epoll_pwait2)) return -1;
      if (current.load()->lies_now()) return current.load()->lie(epoll, events, count);
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
