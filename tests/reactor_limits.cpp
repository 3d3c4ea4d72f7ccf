// The system refuses: no fd left, no epoll, no timer. Constructors throw std::system_error, and nothing leaks; over
// many executors the number of open files is exact.
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/time.hpp"
#include "assay_testkit/system_faults.hpp"
#include "reactor_files.hpp"
#include "support/scale.hpp"
#include "time_state.hpp"

using namespace std::chrono_literals;
using assay::Executor;
using assay::FdEvent;
using assay::Interest;
using assay::JoinHandle;
using assay::Readiness;
using assay::test::open_files;
using assay::test::Pipe;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SystemCall;
using assay::testkit::SystemFaults;

namespace {

// Keeps its waker, and is never Ready.
struct Keep {
  using Output = void;
  std::optional<assay::Waker>& waker;
  assay::Poll<void> poll(assay::Context& context) {
    waker = context.waker();
    return assay::Pending;
  }
};

// The errno of the std::system_error that `code` throws; 0 if it throws nothing.
template <class Code>
int error_of(Code&& code) {
  try {
    code();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

template <class Code>
std::string words_of(Code&& code) {
  try {
    code();
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an executor without its eventfd: std::system_error, and nothing is left", "[reactor]") {
  const int error = GENERATE(EMFILE, ENFILE, ENODEV, ENOMEM);
  SystemFaults calls;
  const std::size_t before = open_files();
  calls.fail(SystemCall::eventfd, error);
  CHECK(error_of([] { const Executor executor; }) == error);
  CHECK(open_files() == before);
  CHECK(calls.calls(SystemCall::close) == 0);
  Executor executor;  // and the next one works
  executor.block_on(assay::sleep(0ns));
  CHECK(open_files() == before + 1);
}

TEST_CASE("the errors of an executor without file descriptors say which call failed, and why", "[reactor]") {
  SystemFaults calls;
  const auto words_when_failing = [&](SystemCall call, std::uint64_t successes) {
    Executor executor;
    calls.fail(call, EMFILE, successes);
    return words_of([&] { executor.pollable_fd(); });
  };
  calls.fail(SystemCall::eventfd, EMFILE);
  CHECK(words_of([] { const Executor executor; }) == "assay: eventfd: Too many open files");
  CHECK(words_when_failing(SystemCall::epoll_create1, 0) == "assay: epoll_create1: Too many open files");
  CHECK(words_when_failing(SystemCall::timerfd_create, 0) == "assay: timerfd_create: Too many open files");
  CHECK(words_when_failing(SystemCall::epoll_create1, 1) == "assay: epoll_create1 or epoll_ctl: Too many open files");
}

TEST_CASE("a pollable fd whose making fails anywhere: std::system_error, nothing is left, and it can be asked again",
          "[reactor]") {
  const SystemCall call = GENERATE(SystemCall::epoll_create1, SystemCall::timerfd_create, SystemCall::epoll_ctl);
  SystemFaults calls;
  const std::size_t before = open_files();
  {
    Executor executor;
    int failures = 0;
    // The n-th call of this kind and all after it fail, for n = 0, 1, 2... until none is left that can.
    for (std::uint64_t n = 0;; ++n) {
      calls.fail(call, ENOSPC, n, SystemFaults::for_ever);
      const int error = error_of([&] { executor.pollable_fd(); });
      calls.stop(call);
      if (error == 0) break;
      ++failures;
      CHECK(error == ENOSPC);
      CHECK(open_files() == before + 1);
      CHECK(executor.run_until_stalled() == 0);
    }
    CHECK(failures == (call == SystemCall::epoll_ctl ? 3 : call == SystemCall::epoll_create1 ? 2 : 1));
    CHECK(open_files() == before + 4);
    CHECK(executor.pollable_fd() >= 0);
    CHECK(open_files() == before + 4);
  }
  CHECK(open_files() == before);
}

TEST_CASE("the number of open files is exact over many executors", "[reactor]") {
  const std::size_t before = open_files();
  std::mt19937 random(11);
  struct Entry {
    std::unique_ptr<Executor> executor;
    std::size_t files = 1;
  };
  std::vector<Entry> entries;
  std::size_t expected = 0;
  const std::uint64_t steps = assay::test::scaled(500, 50);
  for (std::uint64_t step = 0; step < steps; ++step) {
    switch (random() % 4) {
      case 0:
      case 1:
        if (entries.size() < 50) {
          entries.push_back({std::make_unique<Executor>()});
          ++expected;
        }
        break;
      case 2:
        if (!entries.empty()) {
          Entry& entry = entries.at(random() % entries.size());
          entry.executor->pollable_fd();
          expected += 4 - std::exchange(entry.files, 4);  // eventfd, timerfd, two epoll sets
          entry.executor->block_on(assay::sleep(0ns));
        }
        break;
      default:
        if (!entries.empty()) {
          std::swap(entries.at(random() % entries.size()), entries.back());
          expected -= entries.back().files;
          entries.pop_back();
        }
        break;
    }
    REQUIRE(open_files() == before + expected);
  }
  entries.clear();
  CHECK(open_files() == before);
}

TEST_CASE("an executor's fd is closed with the last waker that outlives it, not before and not later", "[reactor]") {
  const std::size_t before = open_files();
  std::optional<assay::Waker> waker;
  {
    Executor executor;
    executor.spawn_detached(Keep{waker});
    executor.run_until_stalled();
  }
  CHECK(open_files() == before + 1);
  waker->wake_by_ref();
  waker.reset();
  CHECK(open_files() == before);
}

TEST_CASE("10,000 waits at the same time, woken and cancelled", "[reactor]") {
  const std::uint64_t wanted = assay::test::scaled(10'000, 100);
  const std::size_t allowed = assay::test::allow_files(wanted + 100);
  // poll(2) takes as many entries as RLIMIT_NOFILE allows files.
  const std::size_t count = std::min<std::size_t>(wanted, allowed - 50);
  Pipe pipe;
  Pipe other;
  Executor executor;
  std::vector<JoinHandle<Readiness>> tasks;
  tasks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    tasks.push_back(executor.spawn(FdEvent(i % 2 == 0 ? pipe.reader() : other.reader(), Interest::read)));
  }
  CHECK(executor.run_until_stalled() == count);
  CHECK(state_of(executor) == State{.fds = count, .tasks = count, .polls = count});
  pipe.write("x");
  CHECK(executor.run_until_stalled() == (count + 1) / 2);
  CHECK(state_of(executor) ==
        State{.fds = count / 2, .tasks = count, .polls = count + (count + 1) / 2, .completed = (count + 1) / 2});
  for (std::size_t i = 0; i < count; ++i) CHECK(tasks.at(i).is_finished() == (i % 2 == 0));
  tasks.clear();
  CHECK(state_of(executor) ==
        State{.polls = count + (count + 1) / 2, .completed = (count + 1) / 2, .cancelled = count / 2});
}

TEST_CASE("10,000 waits one after the other", "[reactor]") {
  const std::uint64_t count = assay::test::scaled(10'000, 100);
  Pipe pipe;
  Executor executor;
  const auto wait_often = [](Pipe& from, std::uint64_t times) -> assay::Async<std::uint64_t> {
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < times; ++i) {
      from.write("x");
      co_await FdEvent(from.reader(), Interest::read);
      const std::string got = from.read();
      bytes += got.size();
    }
    co_return bytes;
  };
  CHECK(executor.block_on(wait_often, std::ref(pipe), count) == count);
  CHECK(state_of(executor) == State{.polls = count + 1, .completed = 1});
}

// poll(2) and epoll_wait count milliseconds in an int: 24.8 days.
TEST_CASE("who waits for months asks the system for months, at the resolution of nanoseconds", "[reactor][time]") {
  static timespec asked;
  static int calls;
  calls = 0;
  assay::audited::SystemCalls table = assay::audited::real_system_calls();
  table.ppoll = [](pollfd*, nfds_t, const timespec* limit) {
    asked = *limit;
    ++calls;
    return 0;
  };
  assay::audited::replace_system_calls(&table);
  const auto wait = std::chrono::hours(24 * 60) + 7ns;
  const int ready = assay::detail::wait_for({}, std::chrono::nanoseconds(wait).count());
  assay::audited::replace_system_calls(nullptr);
  CHECK(ready == 0);
  CHECK(calls == 1);
  CHECK(asked.tv_sec == 60 * 86'400);
  CHECK(asked.tv_nsec == 7);
}
