#include "assay/fd_source.hpp"

#include <cerrno>
#include <utility>

#include "assay/audited/system.hpp"
#include "assay/base/check.hpp"

namespace assay {

namespace {

// Aborts when a future's wait has begun, or the future is done.
FdWait moved(const FdWait& wait, bool is_done) noexcept {
  ASSAY_CHECK(wait.reactor() == nullptr && !wait.is_ready() && !is_done, moved_after_poll);
  return FdWait(wait.fd(), wait.interest());
}

}  // namespace

FdSource::FdSource(int fd, FdKind kind) noexcept : registration_(fd), kind_(kind) {
  ASSAY_CHECK(fd >= 0, "FdSource was given a negative file descriptor");
}

FdSource::FdSource(FdSource&& other) noexcept : registration_(other.fd()), kind_(other.kind_) {
  ASSAY_CHECK(other.reactor_ == nullptr && !other.is_lent(), "an FdSource was moved after its first use");
}

FdSource::~FdSource() {
  ASSAY_CHECK(!is_lent(), "an FdSource was destroyed while a read, a write or a wait of it was under way, or about to be");
}

// Attaches to the reactor that is asked, unless that was the last one too. What is believed stays: the first wait for each
// direction has the kernel look.
void FdSource::use(Reactor& reactor) {
  if (reactor_ == &reactor) return;
  registration_.detach();
  reactor.attach(registration_);
  reactor_ = &reactor;
}

// True: the wait's direction is believed ready. Otherwise the wait has begun, with the waker of this poll.
bool FdSource::poll_ready(FdWait& wait, Context& context) {
  Reactor& reactor =
      detail::executor_of(context, "an FdSource was used outside an Executor (in run()?); it needs Executor::block_on").reactor();
  use(reactor);
  bool& believed = wait.interest() == Interest::read ? registration_.readable : registration_.writable;
  if (wait.take_ready() && !registration_.is_attached()) believed = true;
  if (believed) {
    wait.stop();
    return true;
  }
  if (wait.reactor() == &reactor) {
    Reactor::update(wait, context.local_waker());
  } else {
    wait.stop();
    wait.rely_on_edges(registration_.is_attached());
    reactor.watch(wait, context.local_waker());
  }
  return false;
}

// What a system call's result means; nothing: try again, if the direction is still believed ready.
std::optional<IoResult> FdSource::settle(Interest direction, ssize_t result, std::size_t asked) noexcept {
  bool& believed = direction == Interest::read ? registration_.readable : registration_.writable;
  if (result < 0) {
    const int error = errno;
    if (error == EINTR) return std::nullopt;
    if (error != EAGAIN && error != EWOULDBLOCK) return IoResult{0, error};
    believed = false;
    return std::nullopt;
  }
  const auto bytes = static_cast<std::size_t>(result);
  const bool is_short = bytes > 0 && bytes < asked && kind_ == FdKind::byte_stream;
  if (is_short && !registration_.ended && !registration_.urgent) believed = false;
  return IoResult{bytes, 0};
}

ssize_t FdSource::write_now(std::span<const std::byte> bytes) noexcept {
  if (is_socket_) {
    const ssize_t result = audited::send_bytes(fd(), bytes);
    if (result >= 0 || errno != ENOTSOCK) return result;
    is_socket_ = false;
  }
  return audited::write_bytes(fd(), bytes);
}

FdReady::FdReady(FdReady&& other) noexcept : source_(std::move(other.source_)), wait_(moved(other.wait_, other.done_)) {}

Poll<void> FdReady::poll(Context& context) {
  ASSAY_CHECK(!done_, polled_after_ready);
  if (!source_->poll_ready(wait_, context)) return Pending;
  done_ = true;
  source_.end();
  return Ready();
}

FdRead::FdRead(FdRead&& other) noexcept : source_(std::move(other.source_)), bytes_(other.bytes_), wait_(moved(other.wait_, other.done_)) {}

Poll<IoResult> FdRead::poll(Context& context) {
  ASSAY_CHECK(!done_, polled_after_ready);
  while (source_->poll_ready(wait_, context)) {
    const ssize_t got = audited::read_bytes(wait_.fd(), bytes_);
    if (const auto result = source_->settle(Interest::read, got, bytes_.size())) {
      done_ = true;
      source_.end();
      return Ready(*result);
    }
  }
  return Pending;
}

FdWrite::FdWrite(FdWrite&& other) noexcept : source_(std::move(other.source_)), bytes_(other.bytes_), wait_(moved(other.wait_, other.done_)) {}

Poll<IoResult> FdWrite::poll(Context& context) {
  ASSAY_CHECK(!done_, polled_after_ready);
  while (source_->poll_ready(wait_, context)) {
    const ssize_t put = source_->write_now(bytes_);
    if (const auto result = source_->settle(Interest::write, put, bytes_.size())) {
      done_ = true;
      source_.end();
      return Ready(*result);
    }
  }
  return Pending;
}

}  // namespace assay
