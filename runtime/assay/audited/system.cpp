// Purpose: the system calls. See system.hpp.
// Thread rules: see system.hpp.
// Invariants:
//  (1) Every pointer given to the kernel is to a live object of ours, of the size that is given with it.
#include "assay/audited/system.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>

#include "assay/audited/effects.hpp"
#include "assay/audited/sync.hpp"

namespace assay::audited {

namespace {

// SAFETY(Y2): each forwards its arguments to the call of its name.
constexpr SystemCalls real{
    [](pollfd* fds, nfds_t count, const timespec* timeout) { return ::ppoll(fds, count, timeout, nullptr); },
    [](int fd, void* bytes, std::size_t size) { return ::read(fd, bytes, size); },
    [](int fd, const void* bytes, std::size_t size) { return ::write(fd, bytes, size); },
    [](int fd, const void* bytes, std::size_t size, int flags) { return ::send(fd, bytes, size, flags); },
    [](int fd) { return ::close(fd); },
    [](unsigned initial, int flags) { return ::eventfd(initial, flags); },
    [](int flags) { return ::epoll_create1(flags); },
    [](int epoll, int operation, int fd, epoll_event* event) { return ::epoll_ctl(epoll, operation, fd, event); },
    [](int epoll, epoll_event* events, int count, int limit) { return ::epoll_wait(epoll, events, count, limit); },
    [](int epoll, epoll_event* events, int count, const timespec* limit) { return ::epoll_pwait2(epoll, events, count, limit, nullptr); },
    [](int clock, int flags) { return ::timerfd_create(clock, flags); },
    [](int fd, int flags, const itimerspec* next) { return ::timerfd_settime(fd, flags, next, nullptr); },
};

// SAFETY(Y3): the table in use: one pointer, changed and read atomically; tables outlive their use (invariant 3).
constinit sync::StaticAtomic<const SystemCalls*> in_use{&real};

// SAFETY(Y3): acquire, so that the table's entries are seen with its address.
const SystemCalls& calls() noexcept { return *in_use.load_acquire(); }

}  // namespace

const SystemCalls& real_system_calls() noexcept { return real; }

// SAFETY(Y3): release, so that the table's entries are seen with its address.
void replace_system_calls(const SystemCalls* replacement) noexcept {
  in_use.store_release(replacement != nullptr ? replacement : &real);
}

void write_to_stderr(std::string_view text) noexcept {
#if defined(ASSAY_WITH_RTSAN)
  // SAFETY(E1): last words, or a warning that the user asked for, may block.
  const __rtsan::ScopedDisabler away;
#endif
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
// SAFETY(Y7): the span's bytes, and their number.
ssize_t read_bytes(int fd, std::span<std::byte> bytes) noexcept { return calls().read(fd, bytes.data(), bytes.size()); }
// SAFETY(Y7): the span's bytes, and their number.
ssize_t write_bytes(int fd, std::span<const std::byte> bytes) noexcept { return calls().write(fd, bytes.data(), bytes.size()); }
// SAFETY(Y7): the span's bytes, and their number.
ssize_t send_bytes(int socket, std::span<const std::byte> bytes) noexcept {
  return calls().send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}
// SAFETY(Y8): the event lives through the call. Of its union, u64 is written here and read by tag_of(), nothing else anywhere.
int change_epoll(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t tag) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  return calls().epoll_ctl(epoll, operation, fd, &event);
}
// SAFETY(Y8): the kernel gave back what change_epoll() wrote: u64 is the active member, or, of a zeroed event, zero all the same.
std::uint64_t tag_of(const epoll_event& event) noexcept { return event.data.u64; }
// SAFETY(Y9): the span's array and its size.
int wait_epoll(int epoll, std::span<epoll_event> events, int milliseconds) noexcept {
  return calls().epoll_wait(epoll, events.data(), static_cast<int>(events.size()), milliseconds);
}
// SAFETY(Y9): the span's array and its size; the limit lives through the call.
int wait_epoll(int epoll, std::span<epoll_event> events, const timespec& limit) noexcept {
  return calls().epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()), &limit);
}
// SAFETY(Y8): the timespec lives through the call.
int set_timerfd(int fd, const itimerspec& next) noexcept { return calls().timerfd_settime(fd, 0, &next); }

}  // namespace assay::audited
