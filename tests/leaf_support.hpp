// Every future of assay that waits, each with what makes it Ready: what holds for one must hold for all.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <tuple>
#include <utility>

#include "sync_support.hpp"

namespace assay::test {

// An executor at a clock that stands still, which polls nothing here: futures are polled by hand.
struct LeafWorld {
  VirtualClock clock{Instant(Duration(0)), false};
  Executor executor{ExecutorOptions{.on_stranded = OnStranded::ignore, .clock = &clock}};

  // Runs what is due, without blocking.
  void turn() { executor.run_until_stalled(); }
  void pass(Duration time) {
    clock.advance(time);
    turn();
  }
};

// Each of these has: make(), a future that is not Ready; complete(), which makes the one future Ready;
// keeps_its_place, whether it must not move after its first poll; again, what is said of a poll after Ready ("" if
// allowed).
struct NotifiedLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  Notify notify{};
  auto make() { return notify.notified(); }
  void complete() { notify.notify_one(); }
};

struct NotifiedAllLeaf : NotifiedLeaf {
  void complete() { notify.notify_all(); }
};

struct AcquireLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  Semaphore semaphore{0};
  auto make() { return semaphore.acquire(2); }
  void complete() { semaphore.add(2); }
};

struct LockLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  Mutex<int> mutex{6};
  std::optional<Mutex<int>::Guard> held{mutex.try_lock()};
  auto make() { return mutex.lock(); }
  void complete() { held.reset(); }
};

struct OneshotLeaf : LeafWorld {
  static constexpr bool keeps_its_place = false;
  static constexpr const char* again = polled_after_ready;
  std::optional<OneshotSender<int>> sender{};
  OneshotReceiver<int> make() {
    auto [tx, rx] = oneshot<int>();
    sender.emplace(std::move(tx));
    return std::move(rx);
  }
  void complete() { static_cast<void>(sender->send(6)); }
};

struct ChannelLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  std::optional<Sender<int>> sender{};
  std::optional<Receiver<int>> receiver{};
  ChannelLeaf() {
    auto [tx, rx] = channel<int>(1);
    sender.emplace(std::move(tx));
    receiver.emplace(std::move(rx));
  }
};

struct ReceiveLeaf : ChannelLeaf {
  auto make() { return receiver->recv(); }
  void complete() { static_cast<void>(sender->try_send(6)); }
};

struct SendLeaf : ChannelLeaf {
  SendLeaf() { static_cast<void>(sender->try_send(1)); }
  auto make() { return sender->send(2); }
  void complete() { static_cast<void>(receiver->try_recv()); }
};

struct JoinAllLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  TaskGroup group{executor};
  JoinAllLeaf() { group.spawn(forever()); }
  auto make() { return group.join_all(); }
  void complete() { group.cancel_all(); }
};

struct JoinHandleLeaf : LeafWorld {
  static constexpr bool keeps_its_place = false;
  static constexpr const char* again = "a JoinHandle was used after it was awaited to its end";
  Notify notify{};
  auto make() { return executor.spawn(notify.notified()); }
  void complete() {
    notify.notify_one();
    turn();
  }
};

struct TimeEventLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  auto make() { return sleep_until(Instant(std::chrono::seconds(1))); }
  void complete() { pass(std::chrono::seconds(1)); }
};

struct SleepLeaf : TimeEventLeaf {
  auto make() { return sleep(std::chrono::seconds(1)); }
};

struct TickLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  Interval each_second{std::chrono::seconds(1)};
  auto make() { return each_second.tick(); }
  void complete() { turn(); }  // the first tick comes at once
};

struct TimeoutFutureLeaf : NotifiedLeaf {
  auto make() { return timeout(std::chrono::seconds(1), notify.notified()); }
};

struct TimeoutClockLeaf : NotifiedLeaf {
  auto make() { return timeout(std::chrono::seconds(1), notify.notified()); }
  void complete() { pass(std::chrono::seconds(1)); }
};

struct FdLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  int ends[2] = {-1, -1};
  FdLeaf() {
    if (::pipe(ends) != 0) std::abort();
  }
  FdLeaf(const FdLeaf&) = delete;
  FdLeaf& operator=(const FdLeaf&) = delete;
  ~FdLeaf() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  auto make() { return FdEvent(ends[0], Interest::read); }
  void complete() {
    if (::write(ends[1], "x", 1) != 1) std::abort();
    turn();
  }
};

struct FdSourceLeaf : LeafWorld {
  static constexpr bool keeps_its_place = true;
  static constexpr const char* again = polled_after_ready;
  int ends[2] = {-1, -1};
  std::array<std::byte, 4096> bytes{};
  std::optional<FdSource> source{};
  FdSourceLeaf() {
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
  }
  FdSourceLeaf(const FdSourceLeaf&) = delete;
  FdSourceLeaf& operator=(const FdSourceLeaf&) = delete;
  ~FdSourceLeaf() {
    source.reset();
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void complete() {
    if (::write(ends[1], "x", 1) != 1) std::abort();
    turn();
  }
};

struct FdReadLeaf : FdSourceLeaf {
  auto make() { return source.emplace(ends[0]).read(bytes); }
};

struct FdReadyLeaf : FdSourceLeaf {
  auto make() {
    source.emplace(ends[0]).clear_readable();
    return source->readable();
  }
};

struct FdWriteLeaf : FdSourceLeaf {
  auto make() {
    while (::write(ends[1], bytes.data(), bytes.size()) > 0) {
    }
    return source.emplace(ends[1]).write(bytes);
  }
  void complete() {
    while (::read(ends[0], bytes.data(), bytes.size()) > 0) {
    }
    turn();
  }
};

struct JoinLeaf : NotifiedLeaf {
  Notify other{};
  auto make() { return join(notify.notified(), other.notified()); }
  void complete() {
    other.notify_one();
    notify.notify_one();
  }
};

struct SelectLeaf : NotifiedLeaf {
  Notify other{};
  auto make() { return select(other.notified(), notify.notified()); }
};

struct SelectBiasedLeaf : SelectLeaf {
  auto make() { return select_biased(other.notified(), notify.notified()); }
};

struct AsyncLeaf : NotifiedLeaf {
  static constexpr const char* again = "an Async was polled again after it was Ready";
  static Async<void> wait(Notify& mine) { co_await mine.notified(); }
  ASSAY_CORO_WRAPPER Async<void> make() { return wait(notify); }
};

struct DeepAsyncLeaf : AsyncLeaf {
  static Async<void> wait_deeply(Notify& mine, int depth) {
    Async<void> inner = depth == 0 ? wait(mine) : wait_deeply(mine, depth - 1);
    co_await inner;
  }
  ASSAY_CORO_WRAPPER Async<void> make() { return wait_deeply(notify, 3); }
};

using EveryLeaf =
    std::tuple<NotifiedLeaf, NotifiedAllLeaf, AcquireLeaf, LockLeaf, OneshotLeaf, ReceiveLeaf, SendLeaf, JoinAllLeaf,
               JoinHandleLeaf, TimeEventLeaf, SleepLeaf, TickLeaf, TimeoutFutureLeaf, TimeoutClockLeaf, FdLeaf,
               FdReadLeaf, FdReadyLeaf, FdWriteLeaf, JoinLeaf, SelectLeaf, SelectBiasedLeaf, AsyncLeaf, DeepAsyncLeaf>;

}  // namespace assay::test
