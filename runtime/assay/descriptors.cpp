// See descriptors.hpp. A call that a signal interrupts is retried, or reported as "nothing happened" where the caller loops.
#include "assay/descriptors.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <new>
#include <system_error>

#include "assay/audited/system.hpp"
#include "assay/base/check.hpp"

namespace assay::detail {

namespace {

int made_or_throw(int number, const char* what) {
  if (number < 0) throw std::system_error(errno, std::generic_category(), what);
  return number;
}

constexpr const char* eventfd_lost = "somebody closed or replaced the eventfd of an executor";

}  // namespace

timespec to_timespec(std::int64_t nanoseconds) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  timespec result{};
  result.tv_sec = static_cast<time_t>(nanoseconds / second);
  result.tv_nsec = static_cast<long>(nanoseconds % second);
  return result;
}

Fd::~Fd() {
  if (number_ < 0) return;
  // EINTR from close leaves the fd closed on Linux: not retried.
  const int result = audited::close_fd(number_);
  ASSAY_CHECK(result == 0 || errno != EBADF, "somebody closed a file descriptor that belongs to assay");
}

Wakeup::Wakeup() : fd_(made_or_throw(audited::make_eventfd(), "assay: eventfd")) {}

void Wakeup::raise() noexcept {
  const int before = errno;  // a signal handler must leave it
  const std::uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = audited::write_bytes(fd_.number(), std::as_bytes(std::span(&one, 1)));
  } while (written < 0 && errno == EINTR);
  // EAGAIN: the counter is not zero, which is all we want.
  ASSAY_CHECK(written == ssize_t{sizeof(std::uint64_t)} || errno == EAGAIN, eventfd_lost);
  errno = before;
}

void Wakeup::clear() noexcept {
  std::uint64_t count = 0;
  ssize_t got = 0;
  do {
    got = audited::read_bytes(fd_.number(), std::as_writable_bytes(std::span(&count, 1)));
  } while (got < 0 && errno == EINTR);
  // EAGAIN: it was clear already.
  ASSAY_CHECK(got == ssize_t{sizeof count} || errno == EAGAIN, eventfd_lost);
}

void fail_with_errno(const char* message, const char* file, int line, int error) noexcept {
  try {
    audited::fail(message, file, line, std::generic_category().message(error).c_str());
  } catch (const std::bad_alloc&) {
    audited::fail(message, file, line, "and there is no memory left to say why");
  }
}

int wait_for(std::span<pollfd> fds, std::optional<std::int64_t> nanoseconds) noexcept {
  ASSAY_ASSERT(!nanoseconds || *nanoseconds >= 0, "internal: a negative time to wait");
  const timespec limit = to_timespec(nanoseconds.value_or(0));
  const int ready = audited::poll_fds(fds, nanoseconds ? &limit : nullptr);
  if (ready >= 0) return ready;
  const int error = errno;
  if (error != EINTR && error != EAGAIN && error != ENOMEM) {
    fail_with_errno("poll(2) refused to wait (more file descriptors than RLIMIT_NOFILE?)", __FILE__, __LINE__, error);
  }
  for (pollfd& entry : fds) entry.revents = 0;
  return 0;
}

PollableSet::PollableSet(int wakeup_fd)
    : outer_(made_or_throw(audited::make_epoll(), "assay: epoll_create1")),
      timer_(made_or_throw(audited::make_timerfd(), "assay: timerfd_create")),
      wakeup_fd_(wakeup_fd) {
  if (!renew()) throw std::system_error(errno, std::generic_category(), "assay: epoll_create1 or epoll_ctl");
}

bool PollableSet::renew() noexcept {
  const int made = audited::make_epoll();
  if (made < 0) return false;
  Fd fresh(made);
  if (audited::change_epoll(made, EPOLL_CTL_ADD, timer_.number(), EPOLLIN, 0) != 0 ||
      audited::change_epoll(made, EPOLL_CTL_ADD, wakeup_fd_, EPOLLIN, 0) != 0 ||
      audited::change_epoll(outer_.number(), EPOLL_CTL_ADD, made, EPOLLIN, 0) != 0) {
    return false;
  }
  if (inner_) {
    // Said, and not left to its closing: a fork may have a copy of it.
    static_cast<void>(audited::change_epoll(outer_.number(), EPOLL_CTL_DEL, inner_->number(), 0, 0));
    inner_.reset();
  }
  inner_.emplace(std::move(fresh));
  return true;
}

PollableSet::Watch PollableSet::watch(int fd, std::uint32_t events) noexcept {
  if (audited::change_epoll(inner_->number(), EPOLL_CTL_MOD, fd, events, 0) == 0) return Watch::changed;
  if (audited::change_epoll(inner_->number(), EPOLL_CTL_ADD, fd, events, 0) == 0) return Watch::added;
  return Watch::refused;
}

bool PollableSet::forget(int fd) noexcept {
  return audited::change_epoll(inner_->number(), EPOLL_CTL_DEL, fd, 0, 0) == 0;
}

void PollableSet::set_timer(std::optional<std::int64_t> nanoseconds) noexcept {
  itimerspec next{};
  // A zero time would disarm the timer: one nanosecond is as soon as can be.
  if (nanoseconds) next.it_value = to_timespec(std::max<std::int64_t>(*nanoseconds, 1));
  const int result = audited::set_timerfd(timer_.number(), next);
  ASSAY_CHECK(result == 0, "somebody closed or replaced the timerfd of an executor");
}

}  // namespace assay::detail
