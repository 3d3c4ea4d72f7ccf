// FdSource: a file descriptor that is read and written again and again. It remembers what the fd is ready for, so the system
// call comes first, and the reactor is asked only when there was nothing to do. With EpollReactor the fd is registered once.
//
//   FdSource source(socket.fd(), FdKind::byte_stream);      // ends before the socket is closed
//   IoResult got = co_await source.read(buffer);            // bytes 0: the other side is done
//   IoResult put = co_await source.write(buffer.first(got.bytes));
//
// Thread rules: one executor's thread.
// Rules:
//  (1) A direction is *believed* ready until a call says EAGAIN, or, of a byte stream, did less than was asked: then it was
//      all there was, and the reactor will tell of more. No call is made that must end in EAGAIN.
//  (2) Once the end was announced (HUP, RDHUP, ERR) short calls no longer clear: what follows is told by the next call.
//  (3) Attached to the reactor, beliefs are set by its events alone, which come in any case after they were cleared. Without
//      (another backend, a second source of one fd, an fd that epoll refuses) each wait looks for itself.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "assay/events.hpp"
#include "assay/loan.hpp"
#include "assay/reactor.hpp"

namespace assay {

// What a read or write did.
struct IoResult {
  std::size_t bytes = 0;
  int error = 0;  // errno; 0: none

  friend bool operator==(const IoResult&, const IoResult&) = default;
};

// Whether a read that returns less than was asked for has read all there is.
enum class FdKind : std::uint8_t {
  any,
  // It has, and so for writes: TCP sockets, pipes, Unix stream sockets over which no file descriptors are passed. Datagrams,
  // terminals, timers, inotify and the like are none: of one that is called so, what is still there is read too late or never.
  byte_stream,
};

class FdRead;
class FdWrite;
class FdReady;

// One for each fd (a second one of the same fd works too, slower). Does not own the fd, which must be open and non-blocking and
// is to be closed after the end of this. May move until its first use. Two tasks may use it at the same time, one to read and
// one to write. What it returns are futures, that borrow it; each may be dropped at any time. No allocation per operation. A
// source that is always ready never waits: to be fair to other tasks, yield now and then. Aborts when destroyed while a future
// of it is left that has not been Ready.
class FdSource : public detail::Lender {
 public:
  // Aborts when `fd` is negative.
  explicit FdSource(int fd, FdKind kind = FdKind::any) noexcept;
  FdSource(FdSource&& other) noexcept;
  FdSource& operator=(FdSource&&) = delete;
  ~FdSource();

  int fd() const noexcept { return registration_.fd(); }

  // Ready with what one read(2) into `bytes` or one write of `bytes` did, of which a part may be left. Does not return EAGAIN
  // or EINTR. Of sockets no SIGPIPE comes; other writers should ignore it.
  FdRead read(std::span<std::byte> bytes) noexcept ASSAY_LIFETIMEBOUND;
  FdWrite write(std::span<const std::byte> bytes) noexcept ASSAY_LIFETIMEBOUND;

  // For other calls (accept, recvmsg): Ready while the fd is believed ready. Make the call; when it says EAGAIN, clear, and wait
  // again. (Not earlier: that the stream ends may have been announced already, and is not announced twice.)
  FdReady readable() noexcept ASSAY_LIFETIMEBOUND;
  FdReady writable() noexcept ASSAY_LIFETIMEBOUND;
  void clear_readable() noexcept { registration_.readable = false; }
  void clear_writable() noexcept { registration_.writable = false; }

 private:
  friend class FdRead;
  friend class FdWrite;
  friend class FdReady;

  bool poll_ready(FdWait& wait, Context& context);
  void use(Reactor& reactor);
  std::optional<IoResult> settle(Interest direction, ssize_t result, std::size_t asked) noexcept;
  ssize_t write_now(std::span<const std::byte> bytes) noexcept;

  detail::FdRegistration registration_;
  const Reactor* reactor_ = nullptr;  // of the last poll; compared only
  FdKind kind_;
  bool is_socket_ = true;  // until send() says otherwise
};

// What FdSource::readable and writable return.
class [[nodiscard("it does not wait until it is awaited")]] FdReady {
 public:
  using Output = void;
  FdReady(FdReady&& other) noexcept;
  FdReady& operator=(FdReady&&) = delete;

  Poll<void> poll(Context& context);

 private:
  friend class FdSource;
  FdReady(FdSource& source, Interest direction) noexcept : source_(source), wait_(source.fd(), direction) {}

  detail::Loan<FdSource> source_;
  FdWait wait_;
  bool done_ = false;
};

// What FdSource::read returns.
class [[nodiscard("an FdRead does not read until it is awaited")]] FdRead {
 public:
  using Output = IoResult;
  FdRead(FdRead&& other) noexcept;
  FdRead& operator=(FdRead&&) = delete;

  Poll<IoResult> poll(Context& context);

 private:
  friend class FdSource;
  FdRead(FdSource& source, std::span<std::byte> bytes) noexcept
      : source_(source), bytes_(bytes), wait_(source.fd(), Interest::read) {}

  detail::Loan<FdSource> source_;
  std::span<std::byte> bytes_;
  FdWait wait_;
  bool done_ = false;
};

// What FdSource::write returns.
class [[nodiscard("an FdWrite does not write until it is awaited")]] FdWrite {
 public:
  using Output = IoResult;
  FdWrite(FdWrite&& other) noexcept;
  FdWrite& operator=(FdWrite&&) = delete;

  Poll<IoResult> poll(Context& context);

 private:
  friend class FdSource;
  FdWrite(FdSource& source, std::span<const std::byte> bytes) noexcept
      : source_(source), bytes_(bytes), wait_(source.fd(), Interest::write) {}

  detail::Loan<FdSource> source_;
  std::span<const std::byte> bytes_;
  FdWait wait_;
  bool done_ = false;
};

inline FdRead FdSource::read(std::span<std::byte> bytes) noexcept { return FdRead(*this, bytes); }
inline FdWrite FdSource::write(std::span<const std::byte> bytes) noexcept { return FdWrite(*this, bytes); }
inline FdReady FdSource::readable() noexcept { return FdReady(*this, Interest::read); }
inline FdReady FdSource::writable() noexcept { return FdReady(*this, Interest::write); }

}  // namespace assay
