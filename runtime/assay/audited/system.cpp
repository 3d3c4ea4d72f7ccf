// Purpose: the system calls. See system.hpp.
// Thread rules: see system.hpp.
// Invariants:
//  (1) Every pointer given to the kernel is to a live object of ours, of the size that is given with it.
#include "assay/audited/system.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <ctime>

#include "assay/audited/sync.hpp"

namespace assay::audited {

namespace {

// SAFETY(Y2): each forwards its arguments to the call of its name.
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

// SAFETY(Y3): the table in use: one pointer, changed and read atomically; tables outlive their use (invariant 3).
constinit sync::Atomic<const SystemCalls*> in_use{&real};

// SAFETY(Y3): acquire, so that the table's entries are seen with its address.
const SystemCalls& calls() noexcept { return *in_use.load_acquire(); }

}  // namespace

const SystemCalls& real_system_calls() noexcept { return real; }

// SAFETY(Y3): acq_rel, so that the table's entries are seen with its address.
void replace_system_calls(const SystemCalls* replacement) noexcept {
  in_use.exchange_acq_rel(replacement != nullptr ? replacement : &real);
}

void write_to_stderr(std::string_view text) noexcept {
  // SAFETY(Y1): the view's own bytes; not through the table, so that no test hides it. A failure leaves nothing to do.
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

// SAFETY(Y4): a number, no pointer; whose number it is the safe layer's Fd knows.
int close_fd(int fd) noexcept { return calls().close(fd); }
// SAFETY(Y5): the span's array and its size; the limit lives through the call.
int poll_fds(std::span<pollfd> fds, const timespec* timeout) noexcept {
  return calls().ppoll(fds.data(), fds.size(), timeout);
}
// SAFETY(Y6): create file descriptors; no pointers.
int make_eventfd() noexcept { return calls().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
// SAFETY(Y6): creates a file descriptor; no pointers.
int make_epoll() noexcept { return calls().epoll_create1(EPOLL_CLOEXEC); }
// SAFETY(Y6): creates a file descriptor; no pointers.
int make_timerfd() noexcept { return calls().timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }
// SAFETY(Y7): the eight bytes of a live object, and their number.
ssize_t read_counter(int fd, std::uint64_t& counter) noexcept { return calls().read(fd, &counter, sizeof counter); }
// SAFETY(Y7): the eight bytes of a live object, and their number.
ssize_t write_counter(int fd, std::uint64_t counter) noexcept { return calls().write(fd, &counter, sizeof counter); }
// SAFETY(Y8): the event lives through the call; its union is written and never read by us.
int change_epoll(int epoll, int operation, int fd, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return calls().epoll_ctl(epoll, operation, fd, &event);
}
// SAFETY(Y8): the timespec lives through the call.
int set_timerfd(int fd, const itimerspec& next) noexcept { return calls().timerfd_settime(fd, 0, &next); }

}  // namespace assay::audited
