// Every allocation fails, in its turn: that one only, and all from there on. What the runtime promises then: spawning and making throw
// std::bad_alloc and have done nothing; inside a task it is the task's outcome; nothing is lost, and the executor works afterwards.
#include <array>
#include <cerrno>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/assay.hpp"
#include "assay/audited/function_waker.hpp"
#include "assay/epoll_reactor.hpp"
#include "assay_testkit/dies.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/scripted_future.hpp"
#include "assay_testkit/system_faults.hpp"
#include "fault_support.hpp"
#include "reactor_files.hpp"

using namespace assay;
using namespace std::chrono_literals;
using assay::test::check_loop;
using assay::test::expect_usable;
using assay::test::SiteRecord;
using assay::test::twice;
using assay::test::with;
using assay::testkit::each_allocation_fails;
using assay::testkit::expect;
using assay::testkit::FaultLoop;
using assay::testkit::FaultRegion;
using assay::testkit::Ledger;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

Async<int> deep(int depth) {
  if (depth == 0) {
    co_await yield_now();
    co_return 0;
  }
  const int below = co_await deep(depth - 1);
  co_return below + 1;
}

// A future too large for any class of slots.
struct Large {
  using Output = int;
  std::array<char, 9000> bytes{};
  Poll<int> poll(Context&) { return Ready(bytes.at(0) + 1); }
};

// The first poll keeps the waker that the poll was given, and is Pending for ever.
struct Waits {
  using Output = void;
  std::optional<Waker>* kept;
  Poll<void> poll(Context& context) {
    *kept = context.waker();
    return Pending;
  }
};

Async<void> reads(FdSource& source, std::size_t* got) {
  std::array<std::byte, 64> bytes{};
  const IoResult result = co_await source.read(bytes);
  *got += result.bytes;
}

Async<void> waits_for(int fd, Interest interest) {
  const Readiness ready = co_await FdEvent(fd, interest);
  if (!ready.readable && !ready.writable && !ready.hangup && !ready.error) std::abort();
}

}  // namespace

TEST_CASE("an executor is made, or std::bad_alloc thrown and nothing left", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    faults([&] { const Executor executor(with(backend, 3)); });
    Executor executor(with(backend, 3));
    expect_usable(executor);
  }));
}

TEST_CASE("reserve makes room, or throws and the executor goes on without", "[fault]") {
  const SiteRecord record;
  const std::size_t bytes = GENERATE(1U, 300U, 9000U);
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    Executor executor;
    faults([&] { executor.reserve(200, bytes); });
    expect_usable(executor);
    executor.reserve(200, bytes);
    expect_usable(executor);
  }));
}

TEST_CASE("spawn makes a task, or throws and has done nothing: the future is the caller's still", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Ledger ledger;
    Executor executor;
    int polls = 0;
    {
      testkit::ScriptedFuture<int> future(ledger, [&](Context&) -> Poll<int> {
        ++polls;
        return Ready(5);
      });
      JoinHandle<int> handle;
      const bool spawned = faults([&] { handle = executor.spawn(std::move(future)); });
      expect(spawned == !handle.is_empty(), "a handle without a task, or a task without one");
      expect(executor.stats().spawned == (spawned ? 1U : 0U), "what was spawned");
      expect(executor.live_tasks() == (spawned ? 1U : 0U), "the number of tasks");
      expect(ledger.futures_alive() == 1, "the future went");
      if (!spawned) handle = executor.spawn(std::move(future));
      expect(executor.block_on(handle) == 5 && polls == 1, "the future does not work any more");
    }
    expect(ledger.leftovers().empty(), "futures are left");
    expect_usable(executor);
  }));
}

TEST_CASE("coroutines, callables, and futures of any size: what cannot be made throws", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Executor executor;
    int captured = 20;
    const auto callable = [&captured](int more) -> Async<int> {
      const int doubled = co_await twice(more);
      co_return doubled + captured;
    };
    faults([&] {
      JoinHandle<int> coroutine = executor.spawn("coroutine", twice(1));
      JoinHandle<int> called = executor.spawn("callable", callable, 11);
      std::optional<JoinHandle<int>> large = executor.try_spawn(Large{});
      executor.spawn_detached(Large{});
      const int sum = executor.block_on(coroutine) + executor.block_on(called) + executor.block_on(*large);
      expect(sum == 2 + 42 + 1, "the results");
    });
    executor.run_until_stalled();
    expect_usable(executor);
  }));
}

TEST_CASE("what a detached task is denied goes to the handler", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    std::size_t thrown = 0;
    ExecutorOptions options;
    options.on_unhandled = [&](const TaskInfo&, const std::exception_ptr&) { ++thrown; };
    Executor executor(std::move(options));
    bool spawned = false;
    const auto body = []() -> Async<void> { static_cast<void>(co_await twice(1)); };
    faults([&] {
      executor.spawn_detached("detached", body);
      spawned = true;
      executor.run_until_stalled();
    });
    expect(thrown == (spawned && faults.faults() > 0 ? 1U : 0U), "what the handler got");
    expect_usable(executor);
  }), false);
}

TEST_CASE("a deep chain ends where a frame is denied, and is gone", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Executor executor;
    faults([&] { expect(executor.block_on(deep(40)) == 40, "the depth"); });
    expect_usable(executor);
  }));
}

TEST_CASE("a full executor throws ExecutorFull, or std::bad_alloc", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    ExecutorOptions options = with(Backend::epoll, 3);
    options.task_growth = false;
    Executor executor(std::move(options));
    std::optional<Waker> kept;
    JoinHandle<void> handles[3] = {executor.spawn(Waits{&kept}), executor.spawn(Waits{&kept}), executor.spawn(Waits{&kept})};
    bool full = false;
    faults([&] {
      try {
        executor.spawn_detached(Waits{&kept});
      } catch (const ExecutorFull&) {
        full = true;
      }
    });
    expect(full != faults.threw(), "neither full nor out of memory");
    for (JoinHandle<void>& handle : handles) handle.cancel();
    for (JoinHandle<void>& handle : handles) handle = JoinHandle<void>();
    executor.run_until_stalled();  // they were in the ready queue
    expect_usable(executor);
  }));
}

TEST_CASE("a group loses the task that cannot be made, and joins the others", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Executor executor;
    {
      TaskGroup group(executor);
      const auto member = []() -> Async<void> { static_cast<void>(co_await twice(1)); };
      faults([&] {
        for (int i = 0; i < 3; ++i) group.spawn(member);
        group.spawn(Large{});
        auto joined = group.join_all();
        executor.block_on(joined);
      });
      group.cancel_all();
      expect(group.empty(), "the group is empty");
    }
    expect_usable(executor);
  }));
}

TEST_CASE("join, select, timeout and interval pass on what they are denied", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    Executor executor(with(backend));
    const auto body = []() -> Async<int> {
      auto both = join(twice(1), twice(2));
      const auto [one, two] = co_await both;
      auto first = select(twice(3), sleep(1h));
      const auto chosen = co_await first;
      auto limited = timeout(1h, twice(4));
      const std::optional<int> in_time = co_await limited;
      auto ticks = interval(1ns);
      static_cast<void>(co_await ticks.tick());
      static_cast<void>(co_await ticks.tick());
      co_await sleep(1ns);
      co_return one + two + std::get<0>(chosen) + *in_time;
    };
    faults([&] { expect(executor.block_on(body) == 2 + 4 + 6 + 8, "the results"); });
    expect_usable(executor);
  }));
}

TEST_CASE("channels, oneshots, semaphores, notify and mutexes", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    Executor executor;
    const auto body = [](Executor& mine) -> Async<int> {
      auto [sender, receiver] = channel<int>(2);
      auto [one_sender, one_receiver] = oneshot<int>();
      Semaphore semaphore(1);
      Notify notify;
      Mutex<int> mutex(0);
      const auto sends = [](Sender<int> to, OneshotSender<int> once, Semaphore& limit, Notify& bell, Mutex<int>& sum) -> Async<void> {
        for (int i = 1; i <= 4; ++i) static_cast<void>(co_await to.send(i));
        static_cast<void>(std::move(once).send(5));
        {
          const auto permit = co_await limit.acquire();
          auto guard = co_await sum.lock();
          *guard += 6;
        }
        bell.notify_one();
      };
      JoinHandle<void> task = mine.spawn("sends", sends, std::move(sender), std::move(one_sender), std::ref(semaphore), std::ref(notify),
                                         std::ref(mutex));
      int sum = 0;
      for (;;) {
        const std::optional<int> got = co_await receiver.recv();
        if (!got) break;
        sum += *got;
        if (sum == 10) break;
      }
      if (sum == 10) {
        co_await notify.notified();
        const std::optional<int> once = co_await one_receiver;
        sum += once.value_or(0);
      }
      co_await task;
      const auto guard = co_await mutex.lock();
      co_return sum + *guard;
    };
    faults([&] { expect(executor.block_on(body, std::ref(executor)) == 21, "the sum"); });
    expect_usable(executor);
  }));
}

TEST_CASE("waits for file descriptors: one that cannot begin throws, and the others go on", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    test::SocketPair sockets;
    Executor executor(with(backend));
    pipe.write("x");
    faults([&] {
      JoinHandle<void> early = executor.spawn(waits_for(sockets.reader(), Interest::read));
      executor.run_until_stalled();
      JoinHandle<void> one = executor.spawn(waits_for(pipe.reader(), Interest::read));
      JoinHandle<void> two = executor.spawn(waits_for(sockets.writer(), Interest::write));
      executor.block_on(one);
      executor.block_on(two);
      sockets.write("y");
      executor.block_on(early);
    });
    executor.run_until_stalled();
    expect(executor.reactor().size() == 0, "waits are left");
    expect(executor.live_tasks() == 0, "tasks are left");
    executor.block_on(waits_for(pipe.reader(), Interest::read));
    expect_usable(executor);
  }));
}

TEST_CASE("a wait for a large number, and for none at all", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    pipe.write("x");
    const int large = ::fcntl(pipe.reader(), F_DUPFD, 200);
    {
      Executor executor(with(backend));
      faults([&] { executor.block_on(sleep(1us)); });
      faults([&] { executor.block_on(waits_for(large, Interest::read)); });
      expect(executor.reactor().size() == 0, "waits are left");
      expect_usable(executor);
      executor.block_on(waits_for(large, Interest::read));
    }
    ::close(large);
  }));
}

TEST_CASE("a sleep that has nothing to sleep with throws, and can be slept again", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    VirtualClock clock;  // so that it sleeps, however slow the machine is
    ExecutorOptions options = with(Backend::poll, 3);
    options.clock = &clock;
    Executor executor(std::move(options));
    const auto slow = []() -> Async<int> {
      co_await sleep(2h);
      co_return 6;
    };
    JoinHandle<int> other = executor.spawn(slow);
    executor.run_until_stalled();
    faults([&] { executor.block_on(sleep(1h)); });
    expect(!other.is_finished() && executor.block_on(other) == 6, "the other task");
    expect_usable(executor);
  }));
}

TEST_CASE("what epoll refuses is waited for with poll(2), or throws", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    std::FILE* const regular = std::tmpfile();
    {
      Executor executor;
      faults([&] {
        const int fd = ::fileno(regular);
        executor.block_on(waits_for(fd, Interest::read));
      });
      executor.run_until_stalled();
      expect(executor.reactor().size() == 0, "waits are left");
      expect_usable(executor);
    }
    std::fclose(regular);
  }));
}

TEST_CASE("a source that cannot be attached, or wait, throws, and works later", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  const FdKind kind = GENERATE(FdKind::any, FdKind::byte_stream);
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    test::SocketPair sockets;
    Executor executor(with(backend));
    FdSource source(sockets.reader(), kind);
    std::size_t got = 0;
    std::size_t put = 0;
    faults([&] {
      JoinHandle<void> reading = executor.spawn(reads(source, &got));
      executor.run_until_stalled();
      sockets.write("abc");
      ++put;
      executor.block_on(reading);
    });
    executor.run_until_stalled();
    if (got == 0) {
      if (put == 0) sockets.write("abc");
      executor.block_on(reads(source, &got));
    }
    expect(got == 3, "what was read");
    expect_usable(executor);
  }));
}

TEST_CASE("a pollable fd, and what it waits for", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    test::Pipe pipe;
    test::Pipe other;
    Executor executor(with(backend));
    int fd = -1;
    faults([&] {
      fd = executor.pollable_fd();
      JoinHandle<void> one = executor.spawn(waits_for(pipe.reader(), Interest::read));
      JoinHandle<void> two = executor.spawn(waits_for(other.reader(), Interest::read));
      JoinHandle<void> slow = executor.spawn(sleep(1h));
      executor.run_until_stalled();
      executor.pollable_fd();
      pipe.write("x");
      executor.run_until_stalled();
      const bool denied = testkit::allocations_failed() != 0;  // to a task that waits: its outcome
      expect(denied || (one.is_finished() && !two.is_finished()), "who was woken");
    });
    const int again = executor.pollable_fd();
    expect(fd < 0 || again == fd, "the pollable fd changed");
    pollfd entry{again, POLLIN, 0};
    executor.run_until_stalled();
    executor.pollable_fd();
    expect(::poll(&entry, 1, 0) == 0, "readable, and nothing to do");
    JoinHandle<void> wait = executor.spawn(waits_for(other.reader(), Interest::read));
    executor.run_until_stalled();
    other.write("y");
    expect(::poll(&entry, 1, 0) == 1, "not readable, and a wait is ready");
    executor.block_on(wait);
    expect_usable(executor);
  }));
}

TEST_CASE("a list of tasks, and a line about a stranded one", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    std::optional<Waker> kept;
    Executor executor;
    JoinHandle<void> waits = executor.spawn(Waits{&kept});
    JoinHandle<int> other = executor.spawn(twice(1));
    faults([&] { expect(executor.tasks().size() == 2, "the tasks"); });
    executor.run_until_stalled();
    waits = JoinHandle<void>();
    kept.reset();
    expect(executor.block_on(other) == 2, "the other task");
    expect_usable(executor);
  }));
}

TEST_CASE("an executor ends with tasks, handles and wakers left, whatever was denied", "[fault]") {
  const SiteRecord record;
  const Backend backend = ANY_BACKEND();
  check_loop(each_allocation_fails([&](FaultRegion& faults) {
    std::optional<Waker> kept;
    JoinHandle<void> handle;
    test::Pipe pipe;
    {
      ExecutorOptions options = with(backend);
      options.on_unhandled = [](const TaskInfo&, const std::exception_ptr&) {};
      Executor executor(std::move(options));
      faults([&] {
        handle = executor.spawn(Waits{&kept});
        executor.spawn_detached(waits_for(pipe.reader(), Interest::read));
        executor.spawn_detached(sleep(1h));
        executor.spawn_detached(deep(3));
        executor.poll_once();
        executor.run_until_stalled();
      });
    }
    if (kept) kept->wake_by_ref();
    Executor next(with(backend));
    expect_usable(next);
  }));
}

TEST_CASE("a waker of another thread: woken and dropped while memory is short", "[fault]") {
  const SiteRecord record;
  check_loop(each_allocation_fails([](FaultRegion& faults) {
    int count = 0;
    const auto counts = [&count] { ++count; };
    bool made = false;
    faults([&] {
      auto function = audited::FunctionWaker<decltype(counts)>::make(counts);
      made = true;
      const Waker copy = function.waker;
      copy.wake_by_ref();
      std::move(function.waker).wake();
    });
    expect(count == (made ? 2 : 0), "the wakes");
    std::optional<int> result;
    faults([&] { result = run(deep(5)); });
    if (!result) result = run(deep(5));
    expect(*result == 5, "the result of run()");
  }));
}

TEST_CASE("a system call fails, and there is no memory to say so", "[fault]") {
  const SiteRecord record;
  const auto scenario = [](SystemCall call, std::uint64_t successes, bool embeds) {
    return each_allocation_fails([=](FaultRegion& faults) {
      SystemFaults calls;
      std::optional<Executor> executor;
      if (embeds) executor.emplace();
      calls.fail(call, EMFILE, successes, SystemFaults::for_ever);
      bool succeeded = false;
      faults([&] {
        if (embeds) {
          executor->pollable_fd();
        } else {
          executor.emplace();
        }
        succeeded = true;
      });
      expect(!succeeded, "it should have failed");
      calls.stop(call);
      if (!embeds) executor.emplace();
      expect(executor->pollable_fd() >= 0, "no pollable fd");
      expect_usable(*executor);
    });
  };
  check_loop(scenario(SystemCall::eventfd, 0, false));
  check_loop(scenario(SystemCall::epoll_create1, 0, true));
  check_loop(scenario(SystemCall::timerfd_create, 0, true));
  check_loop(scenario(SystemCall::epoll_create1, 1, true));
}

TEST_CASE("the last line of a program, when there is no memory for it", "[fault]") {
  const SiteRecord record;
  const auto dies = [](SystemCall call, Backend backend) {
    const testkit::Death death = testkit::run_in_child([&] {
      test::Pipe pipe;
      Executor executor(with(backend));
      SystemFaults calls;
      calls.fail(call, EINVAL);
      FaultRegion faults(0, testkit::FaultWay::from_there_on);
      JoinHandle<void> wait = executor.spawn(waits_for(pipe.reader(), Interest::read));
      executor.poll_once();  // what waiting needs is there
      calls.before_blocking = nullptr;
      faults([&] { executor.block_on(wait); });
    });
    CHECK(death.aborted);
    CHECK(death.standard_error.find("assay: ") != std::string::npos);
    const bool has_text = death.standard_error.find("Invalid argument") != std::string::npos;  // short enough for libc++'s strings
    CHECK(has_text != (death.standard_error.find("and there is no memory left to say why") != std::string::npos));
  };
  dies(SystemCall::ppoll, Backend::poll);
  dies(SystemCall::epoll_wait, Backend::epoll);
}

// The loop itself.

namespace {

// The compiler may not leave this allocation out.
std::unique_ptr<int> an_int() {
  static int* volatile last = nullptr;
  std::unique_ptr<int> made = std::make_unique<int>(1);
  last = made.get();
  static_cast<void>(last);
  return made;
}

}  // namespace

TEST_CASE("a fault loop sees what a scenario forgets", "[fault][testkit]") {
  const auto failures_of = [](auto scenario) { return each_allocation_fails(scenario).failures; };
  const auto three = [](FaultRegion& faults) {
    faults([] {
      for (int i = 0; i < 3; ++i) const std::unique_ptr<int> one = an_int();
    });
  };
  const FaultLoop fine = each_allocation_fails(three);
  CHECK(fine.failures.empty());
  CHECK(fine.faults == 6);  // three allocations, in two ways
  CHECK(fine.thrown == 6);
  CHECK(fine.runs == 8);

  // Leaks when its second allocation fails.
  static std::array<int*, 8> leaked{};
  static std::size_t count = 0;
  const std::vector<std::string> leak = failures_of([](FaultRegion& faults) {
    faults([] {
      int* const first = leaked.at(count++) = an_int().release();
      const std::unique_ptr<int> second = an_int();
      --count;
      delete first;
    });
  });
  for (std::size_t at = 0; at < count; ++at) delete leaked.at(at);
  REQUIRE(leak.size() == 2);
  CHECK(leak.at(0) == "allocation 2, once: 1 blocks of memory are left; ");
  CHECK(leak.at(1) == "allocation 2, from there on: 1 blocks of memory are left; ");

  // Does not recover from the first fault alone.
  const std::vector<std::string> only_once = failures_of([](FaultRegion& faults) {
    faults([] {
      std::unique_ptr<int> one;
      try {
        one = an_int();
      } catch (const std::bad_alloc&) {
      }
      one = an_int();
    });
    expect(faults.faults() < 2, "two faults in a row");
  });
  CHECK(only_once == std::vector<std::string>{"allocation 1, from there on: threw: two faults in a row"});

  // Forgets a file descriptor, and closes one that it has not opened.
  const std::vector<std::string> files = failures_of([](FaultRegion& faults) {
    const int fd = ::dup(0);
    if (faults([] { const std::unique_ptr<int> one = an_int(); })) ::close(fd);
  });
  REQUIRE(files.size() == 2);
  CHECK(files.at(0).find("is left open") != std::string::npos);

  // In several regions, the count goes on.
  const FaultLoop split = each_allocation_fails([](FaultRegion& faults) {
    faults([] { const std::unique_ptr<int> one = an_int(); });
    const std::unique_ptr<int> outside = an_int();
    faults([] { const std::unique_ptr<int> two = an_int(); });
  });
  CHECK(split.failures.empty());
  CHECK(split.faults == 4);
}
