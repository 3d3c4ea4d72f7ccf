// What only EpollReactor does: changes are told to the kernel in one go before the next look, late events of files that
// nobody can name any more are recognised, and what epoll refuses is left to poll(2). Each step asserts the system calls made.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/epoll_reactor.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay/waker.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"
#include "support/dies.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Async;
using assay::Duration;
using assay::EpollReactor;
using assay::Executor;
using assay::FdEvent;
using assay::FdWait;
using assay::Interest;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Readiness;
using assay::test::check_dies;
using assay::test::checked;
using assay::test::nap_until;
using assay::test::open_files;
using assay::test::Pipe;
using assay::test::SocketPair;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

// A reactor, waits on it, and the system calls since they were last asked for.
class World {
 public:
  struct Calls {
    std::uint64_t create = 0;
    std::uint64_t control = 0;
    std::uint64_t wait = 0;
    std::uint64_t poll = 0;
    friend bool operator==(const Calls&, const Calls&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Calls& calls) {
      return out << "{create " << calls.create << ", control " << calls.control << ", wait " << calls.wait << ", poll "
                 << calls.poll << "}";
    }
  };

  explicit World(unsigned generation_bits = 32) : reactor(generation_bits) {}

  Calls calls_since() {
    const Calls now{faults.calls(SystemCall::epoll_create1), faults.calls(SystemCall::epoll_ctl),
                    faults.calls(SystemCall::epoll_wait) + faults.calls(SystemCall::epoll_pwait2),
                    faults.calls(SystemCall::ppoll)};
    const Calls before = std::exchange(seen_, now);
    return {now.create - before.create, now.control - before.control, now.wait - before.wait, now.poll - before.poll};
  }
  std::unique_ptr<FdWait> watch(int fd, Interest interest) {
    auto wait = std::make_unique<FdWait>(fd, interest);
    reactor.watch(*wait, LocalWaker(assay::function_waker([this] { ++woken; })));
    return wait;
  }
  // How many were woken. Without a wakeup fd.
  int look() {
    const int before = woken;
    reactor.check_deep();
    CHECK(!reactor.wait(-1, Duration::zero()));
    reactor.check_deep();
    return woken - before;
  }

  SystemFaults faults{};
  EpollReactor reactor;
  int woken = 0;

 private:
  Calls seen_{};
};

using Calls = World::Calls;

}  // namespace

TEST_CASE("what begins and ends between two looks is not told to the kernel", "[epoll]") {
  World world;
  Pipe pipe;
  Pipe other;
  for (int i = 0; i < 100; ++i) world.watch(pipe.reader(), Interest::read).reset();
  CHECK(world.calls_since() == Calls{});
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.poll = 1});  // nothing waits: no set is made
  const auto wait = world.watch(pipe.reader(), Interest::read);
  for (int i = 0; i < 100; ++i) world.watch(pipe.reader(), Interest::write).reset();
  for (int i = 0; i < 100; ++i) world.watch(other.reader(), Interest::read).reset();
  CHECK(world.calls_since() == Calls{});
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.create = 1, .control = 1, .wait = 1});
  for (int i = 0; i < 5; ++i) CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.wait = 5});  // nothing has changed
  pipe.write("x");
  CHECK(world.look() == 1);
  CHECK(world.calls_since() == Calls{.wait = 1});
}

TEST_CASE("waits of one fd are told together, and each new one has the kernel look again", "[epoll]") {
  World world;
  SocketPair sockets;
  const auto reader = world.watch(sockets.reader(), Interest::read);
  const auto writer = world.watch(sockets.reader(), Interest::write);
  const auto both = world.watch(sockets.reader(), Interest::read_write);
  CHECK(world.look() == 2);
  CHECK(world.calls_since() == Calls{.create = 1, .control = 1, .wait = 1});
  CHECK(!reader->is_ready());
  CHECK(writer->readiness() == Readiness{.writable = true});
  CHECK(both->readiness() == Readiness{.writable = true});
  sockets.write("x");
  CHECK(world.look() == 1);
  CHECK(reader->readiness() == Readiness{.readable = true});
  CHECK(world.calls_since() == Calls{.wait = 1});
  const auto again = world.watch(sockets.reader(), Interest::read);  // the byte is still there
  CHECK(world.look() == 1);
  CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
}

TEST_CASE("an event that nobody takes: the kernel is told once, and the fd is silent then", "[epoll]") {
  World world;
  Pipe pipe;
  Pipe other;
  const auto idle = world.watch(other.reader(), Interest::read);
  auto wait = world.watch(pipe.reader(), Interest::read);
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.create = 1, .control = 2, .wait = 1});
  wait.reset();
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.wait = 1});
  pipe.write("x");
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.wait = 1});
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
  pipe.write("y");
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.wait = 1});
  wait = world.watch(pipe.reader(), Interest::read);
  CHECK(world.look() == 1);
  CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
}

TEST_CASE("a number that is closed and reused while something waits: the next wait for it finds out", "[epoll]") {
  World world;
  auto pipe = std::make_unique<Pipe>();
  const int number = pipe->reader();
  const auto old = world.watch(number, Interest::read);
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.create = 1, .control = 1, .wait = 1});
  pipe = std::make_unique<Pipe>();  // made before the other is closed
  Pipe next;
  checked(::dup2(next.reader(), number), "dup2");
  next.write("x");
  CHECK(world.look() == 0);  // nobody could tell
  const auto fresh = world.watch(number, Interest::read);
  CHECK(world.look() == 2);
  CHECK(world.calls_since() == Calls{.control = 2, .wait = 2});  // MOD: ENOENT; ADD
  CHECK(old->readiness() == Readiness{.readable = true});
  CHECK(fresh->readiness() == Readiness{.readable = true});
  ::close(number);
  const auto last = world.watch(number, Interest::read);
  CHECK(world.look() == 1);
  CHECK(last->readiness() == Readiness{.invalid = true});
  CHECK(world.calls_since() == Calls{.control = 1, .poll = 1});  // EBADF; poll(2) says what that is
}

TEST_CASE("a file that lives on under another number: its events are nobody's, and a new set ends them", "[epoll]") {
  World world;
  Pipe pipe;
  const int number = pipe.reader();
  const int copy = checked(::dup(number), "dup");
  auto wait = world.watch(number, Interest::read);
  CHECK(world.look() == 0);
  wait.reset();
  pipe.close_reader();
  Pipe other;
  const auto idle = world.watch(other.writer() == number ? other.writer() : other.reader(), Interest::read);
  CHECK(world.look() == 0);
  world.calls_since();
  int looks = 0;
  std::uint64_t created = 0;
  while (created == 0 && looks < 10) {
    pipe.write("x");
    CHECK(world.look() == 0);
    created = world.calls_since().create;
    ++looks;
  }
  CHECK(created == 1);
  CHECK(looks <= 4);
  for (int i = 0; i < 10; ++i) {
    pipe.write("x");
    CHECK(world.look() == 0);
  }
  CHECK(world.calls_since() == Calls{.wait = 10});
  CHECK(!idle->is_ready());
  other.write("x");
  if (idle->fd() == other.reader()) CHECK(world.look() == 1);
  ::close(copy);
}

TEST_CASE("a new set that is not to be had: all is as before, and it is tried again", "[epoll]") {
  World world;
  Pipe pipe;
  Pipe other;
  const int copy = checked(::dup(pipe.reader()), "dup");
  const auto idle = world.watch(other.reader(), Interest::read);
  auto wait = world.watch(pipe.reader(), Interest::read);
  CHECK(world.look() == 0);
  wait.reset();
  pipe.close_reader();
  world.faults.fail(SystemCall::epoll_create1, EMFILE, 0, 2);
  for (int i = 0; i < 8; ++i) {
    pipe.write("x");
    CHECK(world.look() == 0);
  }
  CHECK(world.faults.failed(SystemCall::epoll_create1) == 2);
  CHECK(world.faults.calls(SystemCall::epoll_create1) == 4);
  other.write("x");
  CHECK(world.look() == 1);
  ::close(copy);
}

TEST_CASE("the old file's late event does not reach who waits for the new file of its number", "[epoll]") {
  const unsigned bits = GENERATE(1U, 2U, 3U, 32U);
  CAPTURE(bits);
  World world(bits);
  std::vector<int> copies;
  std::vector<std::unique_ptr<Pipe>> old;
  Pipe first;
  const int number = checked(::fcntl(first.reader(), F_DUPFD_CLOEXEC, 100), "fcntl");
  // The number is a new file's again and again; copies of all the old ones live on, and are in the set.
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    old.push_back(std::make_unique<Pipe>());
    checked(::dup2(old.back()->reader(), number), "dup2");
    copies.push_back(checked(::dup(number), "dup"));
    auto wait = world.watch(number, Interest::read);
    CHECK(world.look() == 0);
    for (std::size_t each = 0; each + 1 < old.size(); ++each) old.at(each)->write("x");
    for (int i = 0; i < 4; ++i) CHECK(world.look() == 0);
    CHECK(!wait->is_ready());
    old.back()->write("x");
    CHECK(world.look() == 1);
  }
  for (const int copy : copies) ::close(copy);
  ::close(number);
}

TEST_CASE("what epoll refuses, poll(2) waits for: nothing is lost", "[epoll]") {
  const int error = GENERATE(ENOSPC, ENOMEM, ELOOP, EPERM);
  CAPTURE(error);
  World world;
  Pipe pipe;
  Pipe other;
  const auto in_set = world.watch(other.reader(), Interest::read);
  CHECK(world.look() == 0);
  world.calls_since();
  world.faults.fail(SystemCall::epoll_ctl, error);
  const auto refused = world.watch(pipe.reader(), Interest::read);
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.control = 1, .poll = 1});
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.poll = 1});
  SECTION("both become ready") {
    pipe.write("x");
    other.write("x");
    CHECK(world.look() == 2);
    CHECK(refused->readiness() == Readiness{.readable = true});
    CHECK(in_set->readiness() == Readiness{.readable = true});
    CHECK(world.calls_since() == Calls{.wait = 1, .poll = 1});
  }
  SECTION("the refused one is tried again by the next wait for its fd") {
    pipe.write("x");
    CHECK(world.look() == 1);
    world.calls_since();
    const auto again = world.watch(pipe.reader(), Interest::read);
    CHECK(world.look() == 1);
    CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
  }
  SECTION("it stops") {
    refused->stop();
    CHECK(world.look() == 0);
    CHECK(world.calls_since() == Calls{.wait = 1});
  }
  CHECK(world.reactor.size() == (in_set->is_ready() ? 0U : 1U));
}

TEST_CASE("no file descriptor for the set: poll(2) waits, until there is one", "[epoll]") {
  World world;
  Pipe pipe;
  Pipe other;
  world.faults.fail(SystemCall::epoll_create1, EMFILE, 0, 2);
  const auto first = world.watch(pipe.reader(), Interest::read);
  const auto second = world.watch(other.reader(), Interest::read);
  CHECK(world.look() == 0);
  CHECK(world.calls_since() == Calls{.create = 2, .poll = 1});
  pipe.write("x");
  CHECK(world.look() == 1);
  CHECK(world.calls_since() == Calls{.poll = 1});
  const auto third = world.watch(pipe.reader(), Interest::read);
  CHECK(world.look() == 1);
  CHECK(world.calls_since() == Calls{.create = 1, .control = 1, .wait = 1, .poll = 1});
  other.write("x");
  CHECK(world.look() == 1);
}

TEST_CASE("a regular file is ready at once, as poll(2) says", "[epoll]") {
  Executor executor;
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  CHECK(executor.block_on(FdEvent(::fileno(file), Interest::read)) == Readiness{.readable = true});
  CHECK(executor.block_on(FdEvent(::fileno(file), Interest::read_write)) == Readiness{.readable = true, .writable = true});
  CHECK(state_of(executor) == State{.polls = 4, .completed = 2});
  std::fclose(file);
}

TEST_CASE("numbers that no file can have: an answer, and no memory for all the numbers below", "[epoll]") {
  World world;
  const auto huge = world.watch(std::numeric_limits<int>::max(), Interest::read);
  const auto large = world.watch(1 << 20, Interest::write);
  const auto closed = world.watch(100'000, Interest::read);
  CHECK(world.look() == 3);
  CHECK(huge->readiness() == Readiness{.invalid = true});
  CHECK(large->readiness() == Readiness{.invalid = true});
  CHECK(closed->readiness() == Readiness{.invalid = true});
}

TEST_CASE("a number that was closed before the set was made, which then gets it", "[epoll]") {
  World world;
  int number = -1;
  {
    Pipe gone;
    number = gone.reader();
  }
  const auto wait = world.watch(number, Interest::read);
  CHECK(world.look() == 1);
  CHECK(wait->readiness() == Readiness{.invalid = true});
  CHECK(world.calls_since() == Calls{.create = 1, .control = 1, .poll = 1});
  const auto again = world.watch(number, Interest::write);
  CHECK(world.look() == 1);
  CHECK(again->readiness() == Readiness{.invalid = true});
}

TEST_CASE("without epoll_pwait2 it sleeps by poll(2), and is not early", "[epoll]") {
  const int error = GENERATE(ENOSYS, EPERM);
  SystemFaults calls;
  Pipe pipe;
  Executor executor;
  JoinHandle<Readiness> reader = executor.spawn(FdEvent(pipe.reader(), Interest::read));
  calls.fail(SystemCall::epoll_pwait2, error, 0, SystemFaults::for_ever);
  const auto start = executor.now();
  executor.block_on(assay::sleep(1ms));
  CHECK(executor.now() - start >= 1ms);
  nap_until(executor, [&] { return calls.calls(SystemCall::ppoll) != 0; });
  CHECK(calls.calls(SystemCall::epoll_pwait2) == 1);  // it does not ask again
  CHECK(calls.calls(SystemCall::ppoll) >= 1);
  pipe.write("x");
  nap_until(executor, [&] { return reader.is_finished(); });
  CHECK(reader.is_finished());
  CHECK(calls.calls(SystemCall::epoll_pwait2) == 1);
}

TEST_CASE("epoll_pwait2 fails for another reason: aborts with a line", "[epoll]") {
  check_dies("epoll refused to wait (did somebody close or replace the epoll set of an executor?): Invalid argument", [] {
    SystemFaults faults;
    Pipe unused;
    Executor executor;
    executor.spawn_detached(FdEvent(unused.reader(), Interest::read));
    faults.fail(SystemCall::epoll_pwait2, EINVAL);
    nap_until(executor, [] { return false; });
  });
}

TEST_CASE("the wakeup fd: in the set from the first look; a second one, and one that is refused, by poll(2)", "[epoll]") {
  World world;
  Pipe pipe;
  const int bell = checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  const int second = checked(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  const auto wait = world.watch(pipe.reader(), Interest::read);
  const auto look = [&](int wakeup_fd) { return world.reactor.wait(wakeup_fd, Duration::zero()); };
  const std::uint64_t one = 1;
  SECTION("taken") {
    CHECK(!look(bell));
    CHECK(world.calls_since() == Calls{.create = 1, .control = 2, .wait = 1});
    CHECK(::write(bell, &one, sizeof one) == sizeof one);
    CHECK(look(bell));
    CHECK(look(bell));
    CHECK(world.calls_since() == Calls{.wait = 2});
    CHECK(look(second));
    CHECK(world.calls_since() == Calls{.wait = 1, .poll = 1});
    world.reactor.forget_wakeup(second);
    CHECK(world.calls_since() == Calls{});
    world.reactor.forget_wakeup(bell);
    CHECK(world.calls_since() == Calls{.control = 1});
    CHECK(look(second));
    CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
  }
  SECTION("refused") {
    world.faults.fail(SystemCall::epoll_ctl, ENOSPC, 1, 2);
    CHECK(!look(bell));
    CHECK(::write(bell, &one, sizeof one) == sizeof one);
    CHECK(look(bell));
    CHECK(world.calls_since() == Calls{.create = 1, .control = 3, .poll = 2});
    CHECK(look(bell));
    CHECK(world.calls_since() == Calls{.control = 1, .wait = 1});
  }
  CHECK(world.woken == 0);
  pipe.write("x");
  look(second);
  CHECK(world.woken == 1);
  ::close(bell);
  ::close(second);
}

TEST_CASE("an executor that goes takes its wakeup fd out of a reactor that stays", "[epoll]") {
  EpollReactor reactor;
  Pipe pipe;
  for (int round = 0; round < 3; ++round) {
    // Each has the number of the last one for its eventfd. A wake must reach it while it sleeps.
    Executor executor({.reactor = &reactor});
    JoinHandle<Readiness> reader = executor.spawn(FdEvent(pipe.reader(), Interest::read));
    executor.run_until_stalled();
    std::optional<assay::Waker> waker;
    std::atomic<bool> done = false;
    struct Woken {
      using Output = void;
      std::atomic<bool>& done;
      std::optional<assay::Waker>& waker;
      assay::Poll<void> poll(assay::Context& context) {
        if (done.load()) return assay::Ready();
        waker = context.waker();
        return assay::Pending;
      }
    };
    JoinHandle<void> task = executor.spawn(Woken{done, waker});
    executor.run_until_stalled();
    std::thread thread([&] {
      done.store(true);
      std::move(*waker).wake();
      waker.reset();
    });
    executor.block_on(task);
    thread.join();
    CHECK(executor.reactor().size() == 1);
  }
  CHECK(reactor.size() == 0);
}

TEST_CASE("waiting again and again allocates nothing", "[epoll]") {
  SystemFaults calls;
  Pipe pipe;
  Executor executor;
  const auto reader = [](Pipe& through) -> Async<void> {
    for (;;) {
      co_await FdEvent(through.reader(), Interest::read);
      char bytes = 0;
      static_cast<void>(::read(through.reader(), &bytes, 1));
    }
  };
  JoinHandle<void> task = executor.spawn(reader, std::ref(pipe));
  const auto turn = [&] {
    static_cast<void>(::write(pipe.writer(), "x", 1));
    return executor.run_until_stalled();
  };
  turn();
  turn();
  const std::uint64_t before = assay::testkit::allocation_counts().news;
  std::uint64_t polls = 0;
  for (int i = 0; i < 100; ++i) polls += turn();
  CHECK(assay::testkit::allocation_counts().news == before);
  CHECK(polls == 100);
  CHECK(calls.calls(SystemCall::ppoll) == 0);
}

TEST_CASE("a width of generations that makes no sense aborts with a line", "[epoll]") {
  check_dies("EpollReactor was given a generation width that is not 1 to 32 bits", [] { const EpollReactor reactor(0); });
  check_dies("EpollReactor was given a generation width that is not 1 to 32 bits", [] { const EpollReactor reactor(33); });
}
