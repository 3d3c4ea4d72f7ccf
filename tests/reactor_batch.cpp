// Inside one batch of events: a waker whose own code stops, destroys and adds waits, and closes and reuses fds. Tasks'
// wakers only enqueue; a function_waker may do all of this.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/reactor.hpp"
#include "assay/waker.hpp"
#include "reactor_backends.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using assay::Duration;
using assay::Executor;
using assay::FdEvent;
using assay::FdWait;
using assay::Interest;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Reactor;
using assay::Readiness;
using assay::test::check_dies;
using assay::test::EpollBackend;
using assay::test::NarrowEpollBackend;
using assay::test::PollBackend;
using assay::test::SimulatedBackend;
using assay::test::State;
using assay::test::state_of;

#define EVERY_BACKEND PollBackend, EpollBackend, NarrowEpollBackend, SimulatedBackend

namespace {

template <class Callable>
void watch(Reactor& reactor, FdWait& wait, Callable callable) {
  reactor.watch(wait, LocalWaker(assay::function_waker(std::move(callable))));
}

// Some tests call wait() themselves: no executor's eventfd is there, and -1 is never ready.
bool look(Reactor& reactor) { return reactor.wait(-1, Duration::zero()); }

}  // namespace

TEMPLATE_TEST_CASE("a waker that stops or destroys the waits behind it, and before it", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Reactor& reactor = backend.reactor();
  std::vector<int> fds;
  for (int i = 0; i < 6; ++i) {
    fds.push_back(backend.open_reader());
    backend.make_readable(fds.back());
  }
  std::vector<int> woken;
  std::vector<std::unique_ptr<FdWait>> waits;
  for (int i = 0; i < 6; ++i) {
    waits.push_back(std::make_unique<FdWait>(fds.at(static_cast<std::size_t>(i)), Interest::read));
    watch(reactor, *waits.back(), [&, i] {
      woken.push_back(i);
      if (i != 2) return;
      waits.at(0).reset();  // was woken already
      waits.at(3)->stop();  // is ready in this batch, and not woken yet
      waits.at(5).reset();  // the last in the table
      waits.at(2).reset();  // itself
    });
  }
  CHECK(reactor.size() == 6);
  CHECK(!look(reactor));
  CHECK(woken == std::vector<int>{0, 1, 2, 4});
  CHECK(reactor.size() == 0);
  CHECK(!waits.at(3)->is_ready());
  CHECK(waits.at(4)->is_ready());
  CHECK(waits.at(4)->readiness() == Readiness{.readable = true});
  CHECK(!look(reactor));
  CHECK(woken.size() == 4);
}

TEMPLATE_TEST_CASE("a waker that adds waits: they get nothing of this batch, and all of the next", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Reactor& reactor = backend.reactor();
  const int fd = backend.open_reader();
  backend.make_readable(fd);
  std::vector<std::unique_ptr<FdWait>> added;
  int woken = 0;
  FdWait first(fd, Interest::read);
  watch(reactor, first, [&] {
    for (int i = 0; i < 100; ++i) {  // the tables grow under the loop that wakes
      added.push_back(std::make_unique<FdWait>(fd, Interest::read));
      watch(reactor, *added.back(), [&] { ++woken; });
      if (i % 3 == 0) added.pop_back();  // and gone again, in the same batch
    }
  });
  FdWait second(fd, Interest::read);
  bool second_woken = false;
  watch(reactor, second, [&] { second_woken = true; });
  CHECK(!look(reactor));
  CHECK(second_woken);
  CHECK(woken == 0);
  CHECK(reactor.size() == added.size());
  CHECK(!look(reactor));
  CHECK(woken == static_cast<int>(added.size()));
  CHECK(reactor.size() == 0);
}

TEMPLATE_TEST_CASE("a waker that watches again with the very wait that was woken", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Reactor& reactor = backend.reactor();
  const int fd = backend.open_reader();
  backend.make_readable(fd);
  int woken = 0;
  FdWait wait(fd, Interest::read);
  struct Again {
    Reactor& reactor;
    FdWait& wait;
    int& count;
    void operator()() const {
      if (++count < 3) watch(reactor, wait, *this);
    }
  };
  watch(reactor, wait, Again{reactor, wait, woken});
  for (int i = 1; i <= 3; ++i) {
    CHECK(!look(reactor));
    CHECK(woken == i);
    CHECK(reactor.size() == (i < 3 ? 1U : 0U));
  }
}

TEMPLATE_TEST_CASE("a waker that closes an fd of this batch and reuses its number", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Reactor& reactor = backend.reactor();
  const int first = backend.open_reader();
  const int reused = backend.open_reader();
  backend.make_readable(first);
  backend.make_readable(reused);
  std::optional<FdWait> old(std::in_place, reused, Interest::read);
  std::optional<FdWait> fresh;
  int old_woken = 0;
  int fresh_woken = 0;
  FdWait trigger(first, Interest::read);
  watch(reactor, trigger, [&] {
    old.reset();  // stops to wait, as the contract says, before it closes
    backend.reopen(reused);
    fresh.emplace(reused, Interest::read);
    watch(reactor, *fresh, [&] { ++fresh_woken; });
  });
  watch(reactor, *old, [&] { ++old_woken; });
  CHECK(!look(reactor));
  CHECK(old_woken == 0);
  CHECK(fresh_woken == 0);  // the event was the old file's
  CHECK(reactor.size() == 1);
  CHECK(!look(reactor));
  CHECK(fresh_woken == 0);
  backend.make_readable(reused);
  CHECK(!look(reactor));
  CHECK(fresh_woken == 1);
  CHECK(reactor.size() == 0);
}

TEMPLATE_TEST_CASE("a task cancelled inside a batch, by a waker of the same batch", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_reader();
  std::optional<JoinHandle<Readiness>> before(executor.spawn(FdEvent(fd, Interest::read)));
  executor.run_until_stalled();
  std::optional<JoinHandle<Readiness>> after;
  FdWait killer(fd, Interest::read);
  watch(executor.reactor(), killer, [&] {
    before.reset();  // woken already, and in the ready queue
    after.reset();   // ready in this batch, and not woken yet
    executor.spawn_detached(FdEvent(fd, Interest::write));
  });
  after.emplace(executor.spawn(FdEvent(fd, Interest::read)));
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.fds = 3, .tasks = 2, .polls = 2});
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 1);  // the new one, which waits
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 3, .cancelled = 2});
}

TEMPLATE_TEST_CASE("the waker's own code runs when a wait stops, and finds it gone", "[reactor]", EVERY_BACKEND) {
  TestType backend;
  Reactor& reactor = backend.reactor();
  const int fd = backend.open_reader();
  backend.make_readable(fd);
  // What the waker owns looks at the reactor when it goes.
  struct OnDrop {
    Reactor* reactor;
    std::size_t* seen;
    OnDrop(Reactor& of, std::size_t& into) : reactor(&of), seen(&into) {}
    OnDrop(OnDrop&& other) noexcept : reactor(std::exchange(other.reactor, nullptr)), seen(other.seen) {}
    ~OnDrop() {
      if (reactor == nullptr) return;
      *seen = reactor->size();
      look(*reactor);
    }
    void operator()() const {}
  };
  std::size_t seen = 99;
  std::optional<FdWait> wait(std::in_place, fd, Interest::read);
  watch(reactor, *wait, OnDrop(reactor, seen));
  SECTION("stopped") { wait->stop(); }
  SECTION("destroyed") { wait.reset(); }
  SECTION("another waker takes its place") {
    Reactor::update(*wait, LocalWaker());
    CHECK(seen == 1);
    seen = 0;
  }
  CHECK(seen == 0);
  CHECK(!look(reactor));
  CHECK(reactor.size() == 0);
}

TEMPLATE_TEST_CASE("a reactor that goes before its waits lets go of them", "[reactor]", EVERY_BACKEND) {
  int woken = 0;
  std::optional<TestType> backend(std::in_place);
  FdWait wait(backend->open_reader(), Interest::read);
  watch(backend->reactor(), wait, [&] { ++woken; });
  backend.reset();
  CHECK(wait.reactor() == nullptr);
  CHECK(woken == 0);
}

TEST_CASE("a backend that forgets to let go of its waits does no harm", "[reactor]") {
  struct Forgetful final : Reactor {
    bool wait(int, std::optional<Duration>) override { return false; }
    std::size_t size() const noexcept override { return places(); }
    void added(FdWait&) override {}
    void removed(std::size_t) noexcept override {}
  };
  auto reactor = std::make_unique<Forgetful>();
  FdWait wait(3, Interest::read);
  watch(*reactor, wait, [] {});
  CHECK(reactor->size() == 1);
  reactor.reset();
  CHECK(wait.reactor() == nullptr);
  wait.stop();
}

TEMPLATE_TEST_CASE("a waker that makes its own reactor wait aborts with a line", "[reactor]", EVERY_BACKEND) {
  check_dies("a Reactor was asked to wait by a waker that it was waking", [] {
    TestType backend;
    const int fd = backend.open_reader();
    backend.make_readable(fd);
    FdWait wait(fd, Interest::read);
    watch(backend.reactor(), wait, [&] { look(backend.reactor()); });
    look(backend.reactor());
  });
}

TEST_CASE("what nobody may do with an fd aborts with a line", "[reactor]") {
  check_dies("FdEvent was given a negative file descriptor", [] {
    Executor executor;
    executor.block_on(FdEvent(-1, Interest::read));
  });
  check_dies("an FdEvent was polled outside an Executor (in run()?); it needs Executor::block_on", [] {
    assay::LocalWaker unused;
    const assay::Waker waker;
    assay::Context context(waker);
    FdEvent event(0, Interest::read);
    static_cast<void>(event.poll(context));
  });
  check_dies("a future was polled again after it was Ready", [] {
    assay::test::Pipe pipe;
    Executor executor;
    FdEvent event(pipe.writer(), Interest::write);
    static_cast<void>(executor.block_on(event));
    static_cast<void>(executor.block_on(event));
  });
  check_dies("a future was moved after its first poll", [] {
    assay::test::Pipe pipe;
    Executor executor;
    FdEvent event(pipe.writer(), Interest::write);
    static_cast<void>(executor.block_on(event));
    const FdEvent moved(std::move(event));
  });
}
