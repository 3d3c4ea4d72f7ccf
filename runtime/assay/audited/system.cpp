// Purpose: the system calls. See system.hpp.
// Thread rules: see system.hpp.
// Invariants:
//  (1) Every pointer given to the kernel is to a live object of ours, of the size that is given with it.
#include "assay/audited/system.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>

#include "assay/base/check.hpp"
#include "assay/audited/sync.hpp"

namespace assay::audited {

namespace {

// SAFETY(Y3): each forwards its arguments to the call of its name.
constexpr SystemCalls real{
    [](pollfd* fds, nfds_t count, const timespec* timeout) { return ::ppoll(fds, count, timeout, nullptr); },
    [](int fd, void* bytes, std::size_t size) { return ::read(fd, bytes, size); },
    [](int fd, const void* bytes, std::size_t size) { return ::write(fd, bytes, size); },
    [](int fd) { return ::close(fd); },
    [](unsigned initial, int flags) { return ::eventfd(initial, flags); },
    [](int flags) { return ::epoll_create1(flags); },
    [](int epoll, int operation, int fd, epoll_event* event) { return ::epoll_ctl(epoll, operation, fd, event); },
    [](int clock, int flags) { return ::timerfd_create(clock, flags); },
    [](int fd, int flags, const itimerspec* next) { return ::timerfd_settime(fd, flags, next, nullptr); },
};

// SAFETY(Y4): the table in use: one pointer, changed and read atomically; tables outlive their use (invariant 3).
constinit sync::Atomic<const SystemCalls*> in_use{&real};

const SystemCalls& calls() noexcept { return *in_use.load_acquire(); }

timespec to_timespec(std::int64_t nanoseconds) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  timespec result{};
  result.tv_sec = static_cast<time_t>(nanoseconds / second);
  result.tv_nsec = static_cast<long>(nanoseconds % second);
  return result;
}

Fd own_or_throw(int number, const char* what) {
  if (number < 0) throw std::system_error(errno, std::generic_category(), what);
  return Fd(number);
}

}  // namespace

const SystemCalls& real_system_calls() noexcept { return real; }

void replace_system_calls(const SystemCalls* replacement) noexcept {
  in_use.exchange_acq_rel(replacement != nullptr ? replacement : &real);
}

void write_to_stderr(std::string_view text) noexcept {
  // SAFETY(Y1): the view's own bytes; not through the table, so that no test hides it. A failure leaves nothing to do.
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

Fd::~Fd() {
  if (number_ < 0) return;
  // SAFETY(Y5): the number is ours (invariant 2). EINTR from close leaves the fd closed on Linux: not retried.
  const int result = calls().close(number_);
  ASSAY_CHECK(result == 0 || errno != EBADF, "somebody closed a file descriptor that belongs to assay");
}

// SAFETY(Y6): creates an fd; own_or_throw takes it over.
Wakeup::Wakeup() : fd_(own_or_throw(calls().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "assay: eventfd")) {}

void Wakeup::raise() noexcept {
  const std::uint64_t one = 1;
  ssize_t written = 0;
  do {
    // SAFETY(Y7): eight bytes of a live object; EAGAIN means that the counter is not zero, which is all we want.
    written = calls().write(fd_.number(), &one, sizeof one);
  } while (written < 0 && errno == EINTR);
  ASSAY_CHECK(written == sizeof one || errno == EAGAIN, "somebody closed or replaced the eventfd of an executor");
}

void Wakeup::clear() noexcept {
  std::uint64_t count = 0;
  ssize_t got = 0;
  do {
    // SAFETY(Y7): eight bytes of a live object; EAGAIN means that it was clear already.
    got = calls().read(fd_.number(), &count, sizeof count);
  } while (got < 0 && errno == EINTR);
  ASSAY_CHECK(got == sizeof count || errno == EAGAIN, "somebody closed or replaced the eventfd of an executor");
}

int wait_for(std::span<pollfd> fds, std::optional<std::int64_t> nanoseconds) noexcept {
  ASSAY_ASSERT(!nanoseconds || *nanoseconds >= 0, "internal: a negative time to wait");
  const timespec limit = to_timespec(nanoseconds.value_or(0));
  // SAFETY(Y8): the span's array and its size; the limit lives through the call.
  const int ready = calls().ppoll(fds.data(), fds.size(), nanoseconds ? &limit : nullptr);
  if (ready >= 0) return ready;
  const int error = errno;
  if (error != EINTR && error != EAGAIN && error != ENOMEM) {
    fail("poll(2) refused to wait (more file descriptors than RLIMIT_NOFILE?)", __FILE__, __LINE__, std::strerror(error));
  }
  for (pollfd& entry : fds) entry.revents = 0;
  return 0;
}

// SAFETY(Y6): create fds; own_or_throw takes them over.
PollableSet::PollableSet()
    : epoll_(own_or_throw(calls().epoll_create1(EPOLL_CLOEXEC), "assay: epoll_create1")),
      timer_(own_or_throw(calls().timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "assay: timerfd_create")) {
  if (!watch(timer_.number(), EPOLLIN)) throw std::system_error(errno, std::generic_category(), "assay: epoll_ctl");
}

bool PollableSet::watch(int fd, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  // SAFETY(Y9): the event lives through the calls.
  if (calls().epoll_ctl(epoll_.number(), EPOLL_CTL_MOD, fd, &event) == 0) return true;
  // SAFETY(Y9): as above; a number that was closed and reused is new to the set.
  return calls().epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void PollableSet::forget(int fd) noexcept {
  epoll_event event{};
  // SAFETY(Y9): as above. Fails when the fd was closed meanwhile: then the kernel has forgotten it already.
  static_cast<void>(calls().epoll_ctl(epoll_.number(), EPOLL_CTL_DEL, fd, &event));
}

void PollableSet::set_timer(std::optional<std::int64_t> nanoseconds) noexcept {
  itimerspec next{};
  // A zero time would disarm the timer: one nanosecond is as soon as can be.
  if (nanoseconds) next.it_value = to_timespec(std::max<std::int64_t>(*nanoseconds, 1));
  // SAFETY(Y9): the timespec lives through the call; our own timer.
  const int result = calls().timerfd_settime(timer_.number(), 0, &next);
  ASSAY_CHECK(result == 0, "somebody closed or replaced the timerfd of an executor");
}

}  // namespace assay::audited
