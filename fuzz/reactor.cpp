// Waits for file descriptors on PollReactor and EpollReactor with real pipes, and on SimulatedReactor with pretended ones: the
// same script, the same expectations. Wakers are the target's own, and stop, destroy and start waits in the middle of an event batch.
//
// What must hold after each look of the reactor:
//  - a wait fires at most once, only if it was watched before the batch and not stopped meanwhile, with all that is true of
//    its descriptor at that moment: what it asked for, and HUP, ERR and NVAL also unasked;
//  - each wait whose descriptor is ready has fired, unless a waker has stopped it;
//  - with epoll, a wait whose number was closed since the kernel was last told of it may fire or not, but for what is true;
//  - the reactor counts what is watched, and knows whether the wakeup descriptor is readable.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "assay/descriptors.hpp"
#include "assay/epoll_reactor.hpp"
#include "assay/reactor.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/simulated_reactor.hpp"
#include "support/byte_reader.hpp"
#include "support/drive.hpp"

namespace {

using assay::FdWait;
using assay::Interest;
using assay::LocalWaker;
using assay::Reactor;
using assay::Readiness;
using assay::fuzz::ByteReader;
using assay::fuzz::report;
using assay::testkit::CountingWaker;

void expect(bool condition, const char* what) {
  if (!condition) report(what);
}

// Pipes, real or pretended. Descriptor numbers are reused, the smallest first, as the system does it.
class Pipes {
 public:
  static constexpr std::size_t count = 3;

  explicit Pipes(bool real) : real_(real) {}
  ~Pipes() {
    for (std::size_t pipe = 0; pipe < count; ++pipe) {
      close(pipe, false);
      close(pipe, true);
    }
  }
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;

  void open(std::size_t pipe) {
    Pipe& mine = pipes_.at(pipe);
    if (mine.ends.at(0) >= 0 || mine.ends.at(1) >= 0) return;
    mine.bytes = 0;
    if (real_) {
      expect(::pipe2(mine.ends.data(), O_NONBLOCK | O_CLOEXEC) == 0, "pipe2 failed");
    } else {
      mine.ends.at(0) = unused();
      mine.ends.at(1) = unused();
    }
    for (const int fd : mine.ends) {
      if (std::find(numbers.begin(), numbers.end(), fd) == numbers.end()) numbers.push_back(fd);
    }
  }
  void close(std::size_t pipe, bool writer) {
    int& fd = pipes_.at(pipe).ends.at(writer ? 1 : 0);
    if (fd >= 0 && real_) ::close(fd);
    fd = -1;
  }
  void write(std::size_t pipe) {
    Pipe& mine = pipes_.at(pipe);
    if (mine.ends.at(0) < 0 || mine.ends.at(1) < 0 || mine.bytes == 3) return;
    if (real_) expect(::write(mine.ends.at(1), "x", 1) == 1, "write failed");
    ++mine.bytes;
  }
  void read(std::size_t pipe) {
    Pipe& mine = pipes_.at(pipe);
    if (mine.ends.at(0) < 0 || mine.bytes == 0) return;
    char byte = 0;
    if (real_) expect(::read(mine.ends.at(0), &byte, 1) == 1, "read failed");
    --mine.bytes;
  }

  int number(std::size_t pipe, bool writer) const { return pipes_.at(pipe).ends.at(writer ? 1 : 0); }

  // What poll(2) says of a number, all flags.
  short events(int fd) const {
    for (const Pipe& pipe : pipes_) {
      if (pipe.ends.at(0) == fd) {
        return static_cast<short>((pipe.bytes > 0 ? POLLIN : 0) | (pipe.ends.at(1) < 0 ? POLLHUP : 0));
      }
      if (pipe.ends.at(1) == fd) return static_cast<short>(POLLOUT | (pipe.ends.at(0) < 0 ? POLLERR : 0));
    }
    return POLLNVAL;
  }

  std::vector<int> numbers;  // all that were ever open

 private:
  struct Pipe {
    std::array<int, 2> ends{-1, -1};
    int bytes = 0;
  };

  int unused() const {
    for (int fd = 100;; ++fd) {
      if (std::none_of(pipes_.begin(), pipes_.end(),
                       [fd](const Pipe& pipe) { return pipe.ends.at(0) == fd || pipe.ends.at(1) == fd; })) {
        return fd;
      }
    }
  }

  bool real_;
  std::array<Pipe, count> pipes_{};
};

// Said again, not asked of the runtime: what poll(2)'s flags mean to who asked for `interest`.
std::optional<Readiness> told(int events, Interest interest) {
  const bool reads = interest != Interest::write;
  const bool writes = interest != Interest::read;
  const Readiness all{reads && (events & POLLIN) != 0, writes && (events & POLLOUT) != 0, (events & POLLHUP) != 0,
                      (events & POLLERR) != 0, (events & POLLNVAL) != 0};
  return all == Readiness{} ? std::nullopt : std::optional(all);
}

class World {
 public:
  static constexpr std::size_t wait_count = 8;

  enum class Kind : std::uint8_t { poll, simulated, epoll };

  World(Kind kind, unsigned generation_bits)
      : kind_(kind), generation_bits_(generation_bits), real_(kind != Kind::simulated), pipes(real_) {
    make_reactor();
    for (std::size_t index = 0; index < wait_count; ++index) {
      for (const bool second : {false, true}) {
        CountingWaker& counter = counters_.at(index).at(second);
        counter.on_wake = [this, index, second] { woken(index, second); };
        wakers_.push_back(counter.waker());
      }
    }
  }
  ~World() {
    for (auto& wait : waits_) wait.reset();
    wakers_.clear();
    for (const auto& pair : counters_) {
      for (const CountingWaker& counter : pair) {
        expect(counter.drops() == counter.clones() + 1, "a waker was not dropped as often as it was cloned");
      }
    }
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void make_wait(std::size_t index, std::uint8_t what) {
    if (pipes.numbers.empty()) return;
    destroy(index);
    const Interest interest = what % 3 == 0 ? Interest::read : what % 3 == 1 ? Interest::write : Interest::read_write;
    waits_.at(index) = std::make_unique<FdWait>(pipes.numbers.at(what / 3 % pipes.numbers.size()), interest);
  }
  void destroy(std::size_t index) {
    states_.at(index) = State{};
    waits_.at(index).reset();
  }
  void stop(std::size_t index) {
    if (waits_.at(index) == nullptr) return;
    states_.at(index).watched = false;
    waits_.at(index)->stop();
  }
  void watch(std::size_t index, bool second) {
    State& state = states_.at(index);
    if (waits_.at(index) == nullptr || state.watched) return;
    state = State{true, in_batch_, second, std::nullopt, std::nullopt, std::nullopt};
    const int fd = waits_.at(index)->fd();
    begun_.push_back(fd);
    std::erase(stale_, fd);
    reactor_->watch(*waits_.at(index), waker(index, second));
  }
  void update(std::size_t index, bool second) {
    if (waits_.at(index) == nullptr || !states_.at(index).watched) return;
    states_.at(index).second = second;
    Reactor::update(*waits_.at(index), waker(index, second));
  }
  void close(std::size_t pipe, bool writer) {
    const int fd = pipes.number(pipe, writer);
    pipes.close(pipe, writer);
    if (kind_ == Kind::epoll && std::find(begun_.begin(), begun_.end(), fd) == begun_.end()) stale_.push_back(fd);
  }
  void plan(std::size_t index, std::uint8_t what) { plans_.at(index) = what; }
  void raise() {
    wakeup_.raise();
    raised_ = true;
  }
  void pulse(std::uint8_t what) {
    if (real_ || pipes.numbers.empty()) return;
    constexpr std::array<short, 4> flags{POLLIN | POLLHUP, POLLOUT, POLLERR, POLLIN};
    pulse_ = Pulse{pipes.numbers.at(what / 4 % pipes.numbers.size()), flags.at(what % 4)};
  }
  void remake_reactor() {
    for (State& state : states_) state.watched = false;
    reactor_.reset();
    for (const auto& wait : waits_) expect(wait == nullptr || wait->reactor() == nullptr, "a wait has a reactor that is gone");
    make_reactor();
  }

  void look() {
    if (simulated_ != nullptr) {
      for (const int fd : pipes.numbers) simulated_->set(fd, pipes.events(fd));
      if (pulse_.fd >= 0) simulated_->pulse(pulse_.fd, pulse_.events);
    }
    for (std::size_t index = 0; index < wait_count; ++index) {
      State& state = states_.at(index);
      state.is_new = false;
      state.due.reset();
      state.possible.reset();
      if (!state.watched) continue;
      const FdWait& wait = *waits_.at(index);
      int events = pipes.events(wait.fd());
      if (pulse_.fd == wait.fd()) events |= pulse_.events;
      const bool is_stale = std::find(stale_.begin(), stale_.end(), wait.fd()) != stale_.end();
      (is_stale ? state.possible : state.due) = told(events, wait.interest());
    }
    begun_.clear();
    in_batch_ = true;
    const bool woken = reactor_->wait(wakeup_.fd(), assay::Duration::zero());
    in_batch_ = false;
    pulse_ = Pulse{};
    expect(woken == raised_, "what wait() says of the wakeup descriptor");
    if (woken) wakeup_.clear();
    raised_ = false;
    for (const State& state : states_) {
      expect(!(state.watched && !state.is_new && state.due), "a descriptor is ready, but its wait did not fire");
    }
  }

  void compare() const {
    std::size_t watched = 0;
    for (std::size_t index = 0; index < wait_count; ++index) {
      if (waits_.at(index) == nullptr) continue;
      const FdWait& wait = *waits_.at(index);
      const State& state = states_.at(index);
      watched += state.watched ? 1 : 0;
      expect((wait.reactor() == reactor_.get()) == state.watched, "reactor()");
      expect(wait.is_ready() == state.fired.has_value() || state.watched, "is_ready()");
      if (state.fired && !state.watched) expect(wait.readiness() == *state.fired, "readiness()");
    }
    expect(reactor_->size() == watched && reactor_->check_deep() == watched, "size()");
    std::size_t visited = 0;
    reactor_->for_each([&](int, short) { ++visited; });
    expect(visited == watched, "for_each()");
  }

 private:
  struct Pulse {
    int fd = -1;  // none
    short events = 0;
  };
  struct State {
    bool watched = false;
    bool is_new = false;  // watched since the batch began
    bool second = false;  // by its second waker
    std::optional<Readiness> due;
    std::optional<Readiness> possible;
    std::optional<Readiness> fired;
  };

  void make_reactor() {
    simulated_ = nullptr;
    stale_.clear();
    if (kind_ == Kind::poll) {
      reactor_ = std::make_unique<assay::PollReactor>();
    } else if (kind_ == Kind::epoll) {
      reactor_ = std::make_unique<assay::EpollReactor>(generation_bits_);
    } else {
      auto simulated = std::make_unique<assay::testkit::SimulatedReactor>();
      simulated_ = simulated.get();
      reactor_ = std::move(simulated);
    }
  }

  LocalWaker waker(std::size_t index, bool second) const { return wakers_.at(index * 2 + (second ? 1 : 0)); }

  void woken(std::size_t index, bool second) {
    State& state = states_.at(index);
    expect(in_batch_, "a waker was woken outside wait()");
    expect(state.watched && !state.is_new, "a wait fired that was stopped, or not yet watched");
    expect(state.second == second, "a waker was woken that had been replaced");
    if (!state.due) state.due = std::exchange(state.possible, std::nullopt);
    expect(state.due.has_value(), "a wait fired though its descriptor is not ready");
    const FdWait& wait = *waits_.at(index);
    expect(wait.is_ready() && wait.readiness() == *state.due, "the readiness that a wait shows");
    state.watched = false;
    state.fired = std::exchange(state.due, std::nullopt);
    const std::uint8_t todo = std::exchange(plans_.at(index), std::uint8_t{0});
    const std::size_t target = todo / 8 % wait_count;
    switch (todo % 8) {
      case 1: destroy(target); break;
      case 2: stop(target); break;
      case 3: watch(target, false); break;
      case 4:
        stop(target);
        watch(target, true);
        break;
      case 5: make_wait(target, todo); break;
      case 6: update(target, !states_.at(target).second); break;
      default: break;
    }
  }

  const Kind kind_;
  const unsigned generation_bits_;
  const bool real_;
  std::vector<int> begun_;  // numbers for which something began to wait since the last look
  std::vector<int> stale_;  // numbers that were closed, and the kernel was not told since
  bool in_batch_ = false;
  bool raised_ = false;
  assay::detail::Wakeup wakeup_;
  std::unique_ptr<Reactor> reactor_;
  assay::testkit::SimulatedReactor* simulated_ = nullptr;
  std::array<std::array<CountingWaker, 2>, wait_count> counters_;
  std::vector<LocalWaker> wakers_;
  std::array<State, wait_count> states_{};
  std::array<std::uint8_t, wait_count> plans_{};
  Pulse pulse_;

 public:
  Pipes pipes;

 private:
  std::array<std::unique_ptr<FdWait>, wait_count> waits_{};  // the last member: waits go before their reactor
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader bytes(data, size);
  const std::uint8_t first = bytes.byte();
  constexpr std::array<unsigned, 4> widths{32, 1, 2, 3};
  World world(first % 2 == 1   ? World::Kind::simulated
              : first % 4 == 0 ? World::Kind::poll
                               : World::Kind::epoll,
              widths.at(first / 4 % widths.size()));
  for (int i = 0; i < assay::fuzz::max_steps && !bytes.empty(); ++i) {
    const std::uint8_t what = bytes.below(16);
    const std::uint8_t a = bytes.byte();
    const std::size_t wait = a % World::wait_count;
    const std::size_t pipe = a % Pipes::count;
    if (assay::fuzz::is_traced()) std::fprintf(stderr, "step %d %d\n", what, a);
    switch (what) {
      case 0: world.pipes.open(pipe); break;
      case 1: world.close(pipe, a >= 128); break;
      case 2: world.pipes.write(pipe); break;
      case 3: world.pipes.read(pipe); break;
      case 4:
      case 5: world.make_wait(wait, bytes.byte()); break;
      case 6: world.destroy(wait); break;
      case 7: world.stop(wait); break;
      case 8:
      case 9: world.watch(wait, a >= 128); break;
      case 10: world.update(wait, a >= 128); break;
      case 11: world.plan(wait, bytes.byte()); break;
      case 12: a < 64 ? world.raise() : world.pulse(a); break;
      case 13:
        if (a < 16) world.remake_reactor();
        break;
      default: world.look(); break;
    }
    world.compare();
  }
  return 0;
}
