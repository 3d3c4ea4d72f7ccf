// FdSource on socket pairs and pipes, with poll(2), with epoll, and with epoll whose generations wrap. Tasks read, write and
// wait. Outside, the other ends write, read, shut down and close; tasks are cancelled, and polled unasked; numbers are closed and
// used again, also while a copy of the old file lives on; the executor is replaced under the sources; system calls fail.
//
// What must hold:
//  - whenever the executor has stalled, poll(2) knows of nothing that a task still waits for;
//  - each byte arrives once, in its place, also across cancelled reads and writes; the end is told after the last one;
//  - a call reports an error only where the other end has closed or refuses, and never EAGAIN or EINTR;
//  - what has done its call waits no longer, and is not woken;
//  - the reactor counts what waits, the executor what was polled, what was completed and what was cancelled;
//  - at the end the descriptors are open that were open before.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "assay/async.hpp"
#include "assay/audited/frame_pool.hpp"
#include "assay/descriptors.hpp"
#include "assay/epoll_reactor.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/fd_source.hpp"
#include "assay_testkit/system_faults.hpp"
#include "support/byte_reader.hpp"
#include "support/drive.hpp"

namespace {

using assay::Async;
using assay::Context;
using assay::Executor;
using assay::FdEvent;
using assay::FdKind;
using assay::FdRead;
using assay::FdReady;
using assay::FdSource;
using assay::FdWrite;
using assay::Interest;
using assay::IoResult;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::detail::Fd;
using assay::fuzz::ByteReader;
using assay::fuzz::report;
using assay::testkit::SystemCall;

void expect(bool condition, const char* what) {
  if (!condition) report(what);
}

// Of one call. Above 4480 a write to our sockets is cut short, above 4096 one to our pipes.
constexpr std::size_t largest = 6000;
constexpr std::array<std::size_t, 10> sizes{1, 2, 3, 0, 16, 100, 700, 2240, 4096, largest};

IoResult result_of(ssize_t result) {
  return result < 0 ? IoResult{0, errno} : IoResult{static_cast<std::size_t>(result), 0};
}

// How many are ready now. A signal, as the engine's clock sends them, ends poll(2) also where it would not wait.
int count_ready(std::span<pollfd> fds) {
  for (;;) {
    const int count = ::poll(fds.data(), fds.size(), 0);
    if (count >= 0) return count;
    expect(errno == EINTR, "poll failed");
  }
}

// ---- Outside -------------------------------------------------------------------------------------------------------------

// One direction of a channel. A byte's value follows from its place.
struct Stream {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  bool is_ended = false;    // the sender sends no more
  bool is_refused = false;  // the receiver takes no more

  bool is_empty() const { return sent == received; }
  void fill(std::span<std::byte> room) const { std::ranges::copy(from(sent, room.size()), room.begin()); }
  void take(std::span<const std::byte> bytes) {
    expect(bytes.size() <= sent - received, "more bytes arrived than were sent");
    expect(std::ranges::equal(bytes, from(received, bytes.size())), "bytes were lost, doubled or changed");
    received += bytes.size();
  }

 private:
  static constexpr std::size_t period = 251;  // no power of two, which sizes have in common

  static std::span<const std::byte> from(std::uint64_t place, std::size_t count) {
    static constexpr auto values = [] {
      std::array<std::byte, period + largest> all{};
      for (std::size_t i = 0; i < all.size(); ++i) all.at(i) = static_cast<std::byte>(i % period);
      return all;
    }();
    return std::span(values).subspan(static_cast<std::size_t>(place % period), count);
  }
};

enum class Shape : std::uint8_t { socket, pipe_to_us, pipe_from_us };

// Two descriptors that hold little: the inner one is for sources, the outer one is the other side's.
struct Channel {
  explicit Channel(Shape made) : shape(made) {
    std::array<int, 2> ends{};
    if (shape == Shape::socket) {
      expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair failed");
      const int least = 1;
      for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    } else {
      expect(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == 0, "pipe2 failed");
      ::fcntl(ends.at(1), F_SETPIPE_SZ, 4096);
      if (shape == Shape::pipe_from_us) std::swap(ends.at(0), ends.at(1));
    }
    inner.emplace(ends.at(0));
    outer.emplace(ends.at(1));
  }

  bool can(Interest interest) const {
    return shape == Shape::socket || interest == (shape == Shape::pipe_to_us ? Interest::read : Interest::write);
  }

  Shape shape;
  std::optional<Fd> inner;
  std::optional<Fd> outer;
  std::optional<Fd> copy;  // of the inner one's file
  Stream in;
  Stream out;
  bool is_reset = false;  // closed before all was received: a read may say so
};

// A file whose number was closed while a copy of it lives on.
struct Ghost {
  Fd copy;
  Fd outer;
};

// Which of the first 64 numbers are open.
std::bitset<64> open_numbers() {
  std::array<pollfd, 64> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all.at(i).fd = static_cast<int>(i);
  count_ready(all);
  std::bitset<64> open;
  for (std::size_t i = 0; i < all.size(); ++i) open.set(i, (all.at(i).revents & POLLNVAL) == 0);
  return open;
}

// ---- Tasks ---------------------------------------------------------------------------------------------------------------

// What a task does. It uses its source, or waits for the fd by itself.
struct Operation {
  bool is_alive() const { return futures > 0; }
  std::span<std::byte> span() { return std::span(room).first(asked); }

  JoinHandle<void> handle;          // empty: there is no task
  std::optional<LocalWaker> waker;  // of its last poll
  std::size_t channel = 0;
  std::optional<std::size_t> source;
  Interest interest = Interest::read;
  std::size_t asked = 0;
  unsigned times = 0;             // calls that a coroutine makes
  bool is_waiting = false;        // by its last poll
  bool is_through = false;        // has done all, and uses neither source nor fd any more
  bool is_woken = false;          // by us, since its last poll
  bool is_restless = false;       // wakes itself when it is first Pending
  bool lingers = false;           // once it is through, its future is kept until this ends
  int futures = 0;
  std::array<std::byte, largest> room{};
};

class World {
 public:
  static constexpr std::size_t channel_count = 3;
  static constexpr std::size_t source_count = 2 * channel_count;  // two of each channel
  static constexpr std::size_t operation_count = 8;

  World(std::size_t backend, std::uint32_t polls_per_visit) : polls_per_visit_(polls_per_visit) { begin(backend); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- actions ----

  void open(std::size_t channel, std::size_t what) {
    if (!channels_.at(channel)) channels_.at(channel).emplace(static_cast<Shape>(what % 3));
  }
  void make_source(std::size_t index, std::size_t what) {
    open(index / 2, what);
    if (sources_.at(index).real) return;
    sources_.at(index).real.emplace(number_of(index / 2), what / 3 % 2 == 0 ? FdKind::byte_stream : FdKind::any);
    sources_.at(index).is_used = false;
  }
  void end_source(std::size_t index) {
    for (Operation& operation : operations_) {
      if (operation.source == index && !operation.is_through) end(operation);
    }
    sources_.at(index).real.reset();
  }
  void move_source(std::size_t index) {
    std::optional<FdSource>& real = sources_.at(index).real;
    if (!real || sources_.at(index).is_used || is_lent(index)) return;
    FdSource moved(std::move(*real));
    real.reset();
    real.emplace(std::move(moved));
  }
  void close(std::size_t index, std::size_t ghost) {
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel) return;
    for (Operation& operation : operations_) {
      if (operation.channel == index && !operation.is_through) end(operation);
    }
    end_source(2 * index);
    end_source(2 * index + 1);
    if (channel->copy && channel->outer) {
      ghosts_.at(ghost).reset();
      ghosts_.at(ghost).emplace(Ghost{std::move(*channel->copy), std::move(*channel->outer)});
    }
    channel.reset();
  }
  void copy(std::size_t index) {
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel || channel->copy) return;
    const int made = ::fcntl(number_of(index), F_DUPFD_CLOEXEC, 0);
    expect(made >= 0, "fcntl failed");
    channel->copy.emplace(made);
  }
  void touch(std::size_t ghost, std::size_t how) {
    std::optional<Ghost>& mine = ghosts_.at(ghost);
    if (!mine) return;
    std::array<std::byte, 16> bytes{};
    switch (how % 4) {
      case 0: mine.reset(); break;
      case 1: static_cast<void>(result_of(::read(mine->copy.number(), bytes.data(), bytes.size()))); break;
      case 2: static_cast<void>(result_of(::read(mine->outer.number(), bytes.data(), bytes.size()))); break;
      default: static_cast<void>(result_of(::write(mine->outer.number(), bytes.data(), bytes.size()))); break;
    }
  }

  void peer_write(std::size_t index, std::size_t size) {
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel || !channel->outer || !channel->can(Interest::read) || channel->in.is_ended) return;
    const std::span<std::byte> bytes = std::span(room_).first(size);
    channel->in.fill(bytes);
    const IoResult put = result_of(::write(channel->outer->number(), bytes.data(), bytes.size()));
    channel->in.sent += put.bytes;
    expect(put.error == 0 || put.error == EAGAIN, "the other side could not write");
  }
  // False: nothing is left.
  bool peer_read(std::size_t index, std::size_t size) {
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel || !channel->outer || !channel->can(Interest::write)) return false;
    const std::span<std::byte> bytes = std::span(room_).first(size);
    const IoResult got = result_of(::read(channel->outer->number(), bytes.data(), bytes.size()));
    channel->out.take(bytes.first(got.bytes));
    if (got.bytes > 0 || size == 0) return got.bytes > 0;
    expect(channel->out.is_empty(), "bytes that were written are not there");
    expect(got.error == EAGAIN || (got.error == 0 && channel->out.is_refused), "the other side saw an end, or an error");
    return false;
  }
  void peer_ends(std::size_t index, std::size_t how) {
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel || !channel->outer) return;
    constexpr std::array<int, 3> parts{SHUT_WR, SHUT_RD, SHUT_RDWR};
    if (channel->shape == Shape::socket && how % 4 < parts.size()) {
      const int part = parts.at(how % 4);
      expect(::shutdown(channel->outer->number(), part) == 0, "shutdown failed");
      channel->in.is_ended |= part != SHUT_RD;
      channel->out.is_refused |= part != SHUT_WR;
      return;
    }
    channel->in.is_ended = true;
    channel->out.is_refused = true;
    channel->is_reset = !channel->out.is_empty();
    channel->outer.reset();
  }

  void start(std::size_t index, std::size_t source, Interest interest, std::size_t how);
  void cancel(std::size_t index, bool drops) {
    Operation& operation = operations_.at(index);
    if (drops) return end(operation);
    if (operation.handle.is_empty()) return;
    if (!operation.handle.is_finished()) ++cancelled_;
    operation.handle.cancel();
    expect(!operation.is_alive(), "a task was cancelled, and its future lives");
  }
  void wake(std::size_t index, bool releases) {
    Operation& operation = operations_.at(index);
    if (releases) operation.lingers = false;
    operation.is_woken = true;
    if (operation.waker) operation.waker->wake_by_ref();
  }

  // Of the next calls some fail, until the executor has stalled.
  void fail(std::size_t what) {
    struct Fault {
      SystemCall call;
      int error;
    };
    constexpr std::array<Fault, 8> faults{{{SystemCall::read, EINTR},
                                           {SystemCall::send, EINTR},
                                           {SystemCall::write, EINTR},
                                           {SystemCall::ppoll, EINTR},
                                           {SystemCall::epoll_wait, EINTR},
                                           {SystemCall::epoll_ctl, ENOMEM},
                                           {SystemCall::epoll_ctl, ENOSPC},
                                           {SystemCall::epoll_create1, EMFILE}}};
    const Fault& fault = faults.at(what % faults.size());
    faults_.fail(fault.call, fault.error, what / 8 % 4, 1 + what / 32 % 4);
    is_failing_ = true;
  }

  void run() {
    executor_->run_until_stalled();
    if (std::exchange(is_failing_, false)) {
      for (const SystemCall call : {SystemCall::read, SystemCall::send, SystemCall::write, SystemCall::ppoll,
                                    SystemCall::epoll_wait, SystemCall::epoll_ctl, SystemCall::epoll_create1}) {
        faults_.stop(call);
      }
      executor_->run_until_stalled();
    }
    has_stalled_ = true;
    check_stalled();
  }
  void poll_once() {
    executor_->poll_once();
    has_stalled_ = false;
  }
  // The sources stay, and so may the reactor.
  void restart(std::size_t backend, bool keeps_reactor) {
    end_executor();
    if (keeps_reactor && reactor_) {
      make_executor(assay::Backend::epoll);
    } else {
      reactor_.reset();
      begin(backend);
    }
  }

  void check() {
    executor_->check_deep();
    const assay::ExecutorStats& stats = executor_->stats();
    expect(stats.spawned == spawned_ && stats.polls == polls_ && stats.completed == completed_ &&
               stats.cancelled == cancelled_ && stats.threw == 0 && stats.stranded == 0,
           "what the executor counted");
    const auto waiting = std::ranges::count_if(operations_, [](const Operation& each) { return each.is_waiting; });
    // Where it has not stalled some are woken that were not polled yet.
    const std::size_t size = executor_->reactor().size();
    expect(size <= static_cast<std::size_t>(waiting), "the reactor has waits of nobody");
    expect(!has_stalled_ || size == static_cast<std::size_t>(waiting), "the reactor has lost a wait");
  }

  void finish(bool executor_first) {
    run();
    check();
    if (executor_first) end_executor();
    for (Operation& operation : operations_) end(operation);
    if (executor_ != nullptr) {
      run();
      expect(executor_->live_tasks() == 0, "tasks are left in memory that nothing holds");
      check();
    }
    for (std::size_t index = 0; index < channel_count; ++index) drain(index);
    for (Source& source : sources_) source.real.reset();
    if (executor_ != nullptr) end_executor();
  }

  // ---- what tasks tell ----

  void begins_poll(Operation& operation, const LocalWaker& waker) {
    ++polls_;
    const bool is_woken = std::exchange(operation.is_woken, false);
    expect(is_woken || !operation.is_through, "a task was woken by what it does not wait for any more");
    operation.waker = waker;
    if (operation.source && !operation.is_through) sources_.at(*operation.source).is_used = true;
    fill(operation);
  }
  void is_done() { ++completed_; }
  // What the next write is to carry.
  void fill(Operation& operation) {
    if (operation.interest == Interest::write && !operation.is_through) channel_of(operation).out.fill(operation.span());
  }
  // False: there is nothing more to do.
  bool has_done(Operation& operation, const IoResult& result) {
    const bool reads = operation.interest == Interest::read;
    if (assay::fuzz::is_traced()) {
      std::fprintf(stderr, "  %s of %zu: %zu bytes, error %d\n", reads ? "read" : "write", operation.asked, result.bytes,
                   result.error);
    }
    expect(result.bytes <= operation.asked && (result.error == 0 || result.bytes == 0), "an impossible result");
    return reads ? has_read(operation, result) : has_written(operation, result);
  }
  int number_of(std::size_t channel) const { return channels_.at(channel)->inner->number(); }

 private:
  struct Source {
    std::optional<FdSource> real;
    bool is_used = false;
  };

  void begin(std::size_t backend) {
    if (backend % 4 >= 2) reactor_.emplace(static_cast<unsigned>(1 + backend / 4 % 3));
    make_executor(backend % 4 == 0 ? assay::Backend::poll : assay::Backend::epoll);
  }
  void make_executor(assay::Backend backend) {
    assay::ExecutorOptions options;
    options.polls_per_visit = polls_per_visit_;
    options.backend = backend;
    options.reactor = reactor_ ? &*reactor_ : nullptr;
    executor_ = std::make_unique<Executor>(std::move(options));
    spawned_ = 0;
    polls_ = 0;
    completed_ = 0;
    cancelled_ = 0;
    has_stalled_ = true;
  }
  void end_executor() {
    executor_.reset();
    for (Operation& operation : operations_) {
      expect(!operation.is_alive(), "a future outlived its executor");
      end(operation);
    }
    if (reactor_) expect(reactor_->size() == 0 && reactor_->check_deep() == 0, "a reactor has waits, and no executor");
  }
  void end(Operation& operation) {
    if (!operation.handle.is_empty() && !operation.handle.is_finished()) ++cancelled_;
    operation.handle = JoinHandle<void>();
    operation.waker.reset();
    operation.source.reset();
    operation.is_through = false;
    operation.is_woken = false;
    expect(!operation.is_alive(), "a handle was dropped, and its future lives");
  }

  Channel& channel_of(const Operation& operation) { return *channels_.at(operation.channel); }
  bool is_lent(std::size_t source) const {
    return std::ranges::any_of(operations_, [&](const Operation& each) {
      return each.is_alive() && !each.is_through && each.source == source;
    });
  }
  template <class Body>
  void spawn(Operation& operation, Body body);

  bool has_read(Operation& operation, const IoResult& got) {
    Channel& channel = channel_of(operation);
    channel.in.take(operation.span().first(got.bytes));
    if (got.bytes > 0) return true;
    if (operation.asked == 0) {
      expect(got.error == 0, "the error of a read of nothing");
      return true;
    }
    expect(channel.in.is_empty() && channel.in.is_ended, "a read saw the end, or an error, before it was there");
    expect(got.error == 0 || (got.error == ECONNRESET && channel.is_reset), "the error of a read");
    return false;
  }
  bool has_written(Operation& operation, const IoResult& put) {
    Channel& channel = channel_of(operation);
    channel.out.sent += put.bytes;
    if (put.error == 0) {
      expect(put.bytes > 0 || operation.asked == 0, "a write did nothing");
      expect(put.bytes == 0 || !channel.out.is_refused, "a write went nowhere");
      return true;
    }
    expect(put.error == EPIPE && channel.out.is_refused, "the error of a write");
    return false;
  }

  void check_stalled() {
    std::array<pollfd, operation_count> all{};
    for (std::size_t index = 0; index < operation_count; ++index) {
      const Operation& operation = operations_.at(index);
      expect(!operation.is_alive() || operation.is_waiting || operation.is_through, "a task neither waits nor ends");
      all.at(index).fd = operation.is_waiting ? number_of(operation.channel) : -1;
      all.at(index).events = operation.interest == Interest::read ? POLLIN | POLLRDHUP : POLLOUT;
    }
    expect(count_ready(all) == 0, "the executor stalled, but a task waits for what is there");
    for (const Operation& operation : operations_) {
      if (!operation.is_waiting || operation.interest != Interest::read) continue;
      const Stream& in = channel_of(operation).in;
      expect(in.is_empty() && !in.is_ended, "a task waits to read, and there is something to read");
    }
  }

  // What is still under way arrives.
  void drain(std::size_t index) {
    while (peer_read(index, largest)) {
    }
    std::optional<Channel>& channel = channels_.at(index);
    if (!channel || !channel->can(Interest::read)) return;
    for (;;) {
      const IoResult got = result_of(::read(number_of(index), room_.data(), room_.size()));
      channel->in.take(std::span(room_).first(got.bytes));
      if (got.bytes == 0) break;
    }
    expect(channel->in.is_empty(), "bytes were lost");
  }

  assay::testkit::SystemFaults faults_;
  bool is_failing_ = false;
  const std::uint32_t polls_per_visit_;
  std::array<std::byte, largest> room_{};
  std::array<std::optional<Channel>, channel_count> channels_;
  std::array<std::optional<Ghost>, 2> ghosts_;
  std::optional<assay::EpollReactor> reactor_;  // with narrow generations
  std::array<Source, source_count> sources_;
  std::unique_ptr<Executor> executor_;
  std::array<Operation, operation_count> operations_;
  std::uint64_t spawned_ = 0;
  std::uint64_t polls_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t cancelled_ = 0;
  bool has_stalled_ = true;
};

// The future of each task, around what it does.
template <class Body>
class Job {
 public:
  using Output = void;
  Job(World& world, Operation& operation, Body body) : world_(world), operation_(operation), body_(std::move(body)) {
    ++operation_.futures;
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() {
    --operation_.futures;
    operation_.is_waiting = false;
  }

  Poll<void> poll(Context& context) {
    world_.begins_poll(operation_, context.local_waker());
    Poll<void> result = body_.poll(context);
    if (result.is_ready()) world_.is_done();
    return result;
  }

 private:
  World& world_;
  Operation& operation_;
  // Few slots make a chunk of the slab, of which check_deep() looks at each. Never read.
  [[maybe_unused]] std::array<std::byte, 3000> bulk_;
  Body body_;
};

// One call, or one wait.
template <class F>
class Once {
 public:
  using Output = void;
  Once(World& world, Operation& operation, F future) : world_(world), operation_(operation), future_(std::move(future)) {}

  Poll<void> poll(Context& context) {
    if (!operation_.is_through) {
      Poll<typename F::Output> result = future_.poll(context);
      operation_.is_waiting = result.is_pending();
      if (result.is_pending()) return wait(context);
      operation_.is_through = true;
      if constexpr (std::is_same_v<typename F::Output, IoResult>) world_.has_done(operation_, std::move(result).take());
    }
    if (operation_.lingers) return Pending;
    return Ready();
  }

 private:
  Poll<void> wait(Context& context) {
    if (std::exchange(operation_.is_restless, false)) {
      operation_.is_woken = true;
      context.local_waker().wake_by_ref();
    }
    return Pending;
  }

  World& world_;
  Operation& operation_;
  F future_;
};

Async<void> call(World& world, Operation& operation, FdSource& source) {
  for (unsigned i = 0; i < operation.times; ++i) {
    world.fill(operation);
    IoResult result;
    operation.is_waiting = true;
    if (operation.interest == Interest::read) {
      result = co_await source.read(operation.span());
    } else {
      result = co_await source.write(operation.span());
    }
    operation.is_waiting = false;
    if (!world.has_done(operation, result)) break;
  }
}

// The same with calls of its own.
Async<void> call_when_ready(World& world, Operation& operation, FdSource& source) {
  const bool reads = operation.interest == Interest::read;
  for (unsigned i = 0; i < operation.times;) {
    operation.is_waiting = true;
    if (reads) {
      co_await source.readable();
    } else {
      co_await source.writable();
    }
    operation.is_waiting = false;
    world.fill(operation);
    const std::span<std::byte> bytes = operation.span();
    const IoResult result = result_of(reads ? ::read(source.fd(), bytes.data(), bytes.size())
                                            : ::write(source.fd(), bytes.data(), bytes.size()));
    if (result.error == EAGAIN) {
      reads ? source.clear_readable() : source.clear_writable();
      continue;
    }
    if (!world.has_done(operation, result)) break;
    ++i;
  }
}

template <class Body>
void World::spawn(Operation& operation, Body body) {
  ++spawned_;
  operation.handle = executor_->emplace<Job<Body>>("job", *this, operation, std::move(body));
}

void World::start(std::size_t index, std::size_t source, Interest interest, std::size_t how) {
  make_source(source, how / 40);
  if (!channels_.at(source / 2)->can(interest)) return;
  Operation& operation = operations_.at(index);
  end(operation);
  const std::size_t form = how % 8 / 2;
  operation.channel = source / 2;
  if (form != 3) operation.source = source;
  operation.interest = interest;
  operation.asked = sizes.at(how / 8 % sizes.size());
  operation.times = static_cast<unsigned>(1 + index % 4);
  operation.is_restless = index % 2 == 1;
  operation.lingers = how % 2 == 1 && (form == 0 || form == 3);
  FdSource& real = *sources_.at(source).real;
  switch (form) {
    case 0:
      if (interest == Interest::read) return spawn(operation, Once<FdRead>(*this, operation, real.read(operation.span())));
      return spawn(operation, Once<FdWrite>(*this, operation, real.write(operation.span())));
    case 1: return spawn(operation, call(*this, operation, real));
    case 2: return spawn(operation, call_when_ready(*this, operation, real));
    default: return spawn(operation, Once<FdEvent>(*this, operation, FdEvent(real.fd(), interest)));
  }
}

// ---- The script ----------------------------------------------------------------------------------------------------------

enum class Action : std::uint8_t {
  open,
  make_source,
  end_source,
  move_source,
  read,
  write,
  cancel,
  wake,
  peer_write,
  peer_read,
  peer_ends,
  close,
  copy,
  touch,
  fail,
  restart,
  poll_once,
  run,
};
constexpr unsigned action_choices = 20;  // what is beyond the last is `run` too

void act(World& world, Action action, std::uint8_t a, ByteReader& bytes) {
  const std::size_t channel = a % World::channel_count;
  const std::size_t source = a % World::source_count;
  const std::size_t operation = a % World::operation_count;
  const std::size_t size = sizes.at(a / World::channel_count % sizes.size());
  switch (action) {
    case Action::open: world.open(channel, a / World::channel_count); break;
    case Action::make_source: world.make_source(source, a / World::source_count); break;
    case Action::end_source: world.end_source(source); break;
    case Action::move_source: world.move_source(source); break;
    case Action::read:
    case Action::write:
      world.start(operation, a / World::operation_count % World::source_count,
                  action == Action::read ? Interest::read : Interest::write, bytes.byte());
      break;
    case Action::cancel: world.cancel(operation, a >= 128); break;
    case Action::wake: world.wake(operation, a >= 128); break;
    case Action::peer_write: world.peer_write(channel, size); break;
    case Action::peer_read: world.peer_read(channel, size); break;
    case Action::peer_ends: world.peer_ends(channel, a / World::channel_count); break;
    case Action::close: world.close(channel, a / World::channel_count % 2); break;
    case Action::copy: world.copy(channel); break;
    case Action::touch: world.touch(a % 2, a / 2); break;
    case Action::fail: world.fail(a); break;
    case Action::restart:
      if (a % 4 == 0) world.restart(a / 8, a / 4 % 2 == 0);
      break;
    case Action::poll_once: world.poll_once(); break;
    default: world.run(); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto handler = std::signal(SIGPIPE, SIG_IGN);  // of pipes, and of our own calls
  expect(handler != SIG_ERR, "signal failed");
  const std::bitset<64> before = open_numbers();
  ByteReader bytes(data, size);
  {
    const std::uint8_t first = bytes.byte();
    World world(first, 1U + bytes.below(4));
    for (int i = 0; i < assay::fuzz::max_steps && !bytes.empty(); ++i) {
      const auto action = static_cast<Action>(bytes.below(action_choices));
      const std::uint8_t a = bytes.byte();
      if (assay::fuzz::is_traced()) std::fprintf(stderr, "step %d %d\n", static_cast<int>(action), a);
      act(world, action, a, bytes);
      world.check();
    }
    world.finish(first >= 128);
  }
  expect(open_numbers() == before, "a file descriptor was left open, or closed");
  // So that an input does the same whatever ran before it.
  assay::audited::trim_frame_pool();
  return 0;
}
