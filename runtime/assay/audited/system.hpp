// Purpose: every system call of the runtime, behind a table. Who owns which file descriptor is the safe layer's
//   (assay/descriptors.hpp).
// Thread rules: any thread.
// Invariants:
//  (1) Every pointer given to the kernel is to a live object of ours, of the size that is given with it.
//  (2) Calls go through one table, so that a test can make each of them fail. A table outlives its use.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/base/attributes.hpp"

namespace assay::audited {

// SAFETY(Y2): the signatures are the system's own.
struct SystemCalls {
  int (*ppoll)(pollfd* fds, nfds_t count, const timespec* timeout);
  ssize_t (*read)(int fd, void* bytes, std::size_t size);
  ssize_t (*write)(int fd, const void* bytes, std::size_t size);
  ssize_t (*send)(int fd, const void* bytes, std::size_t size, int flags);
  int (*close)(int fd);
  int (*eventfd)(unsigned initial, int flags);
  int (*epoll_create1)(int flags);
  int (*epoll_ctl)(int epoll, int operation, int fd, epoll_event* event);
  int (*epoll_wait)(int epoll, epoll_event* events, int count, int milliseconds);
  int (*epoll_pwait2)(int epoll, epoll_event* events, int count, const timespec* timeout);
  int (*timerfd_create)(int clock, int flags);
  int (*timerfd_settime)(int fd, int flags, const itimerspec* next);
};

// The real ones.
const SystemCalls& real_system_calls() noexcept;

// For fault injection: `calls` serves all threads until the next call of this; null brings the real ones back.
ASSAY_UNSAFE void replace_system_calls(const SystemCalls* calls) noexcept;

// One write(2) to stderr, for the last words of a program. What cannot be written is lost.
void write_to_stderr(std::string_view text) noexcept;

// The calls, through the table. Each returns what the system returns; -1: errno says why.
int close_fd(int fd) noexcept;
int poll_fds(std::span<pollfd> fds, const timespec* timeout) noexcept;
int make_eventfd() noexcept;
int make_epoll() noexcept;
int make_timerfd() noexcept;
ssize_t read_bytes(int fd, std::span<std::byte> bytes) noexcept;
ssize_t write_bytes(int fd, std::span<const std::byte> bytes) noexcept;
ssize_t send_bytes(int socket, std::span<const std::byte> bytes) noexcept;  // without SIGPIPE
int change_epoll(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t tag) noexcept;
int wait_epoll(int epoll, std::span<epoll_event> events, int milliseconds) noexcept;
int wait_epoll(int epoll, std::span<epoll_event> events, const timespec& limit) noexcept;
// The tag that change_epoll() gave to what an event is about.
std::uint64_t tag_of(const epoll_event& event) noexcept;
int set_timerfd(int fd, const itimerspec& next) noexcept;

}  // namespace assay::audited
