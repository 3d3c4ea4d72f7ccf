// Shows executors that end with the process, tasks alive in them: of namespace scope, static in a function,
// thread_local on the main thread. By then the main thread's cache of coroutine frames is gone. Each runs in a child
// process, which leaves with exit(); an object older than all of them looks at the end whether each task's locals were
// destroyed.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>

#include "assay/events.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using namespace std::chrono_literals;

namespace {

int locals_alive = 0;

constexpr int all_gone = 4;  // the exit code of a child in which nothing was left
constexpr int left_over = 5;
constexpr int not_filled = 6;

// The first object of this file, so the last to go. Silent unless armed: the parent ends like any other program.
struct Verdict {
  bool is_armed = false;
  ~Verdict() {
    if (is_armed) ::_exit(locals_alive == 0 ? all_gone : left_over);
  }
} verdict;

std::optional<Waker> older_waker;
std::optional<JoinHandle<int>> older_handle;
Executor at_namespace_scope;
std::optional<Waker> younger_waker;
std::optional<JoinHandle<int>> younger_handle;

struct Local {
  Local() { ++locals_alive; }
  ~Local() { --locals_alive; }
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;
};

Async<int> wait_deep(int fd, int depth) {
  const Local local;
  if (depth > 0) co_return co_await wait_deep(fd, depth - 1);
  co_await FdEvent(fd, Interest::read);
  co_return 0;
}

struct KeepsWaker {
  using Output = int;
  std::optional<Waker>& kept;
  Poll<int> poll(Context& context) {
    kept = context.waker();
    return Pending;
  }
};

struct OwnWaker {
  using Output = LocalWaker;
  Poll<LocalWaker> poll(Context& context) { return Ready(context.local_waker()); }
};

// Tasks that wait for an fd, for the clock, for a Waker and for a task; one that has never run; and their handles and
// wakers on either side of the executor's life.
void fill(Executor& executor) {
  verdict.is_armed = true;
  const int before = locals_alive;
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  executor.spawn_detached(wait_deep(ends[0], 50));
  executor.spawn_detached([]() -> Async<void> {
    const Local local;
    co_await sleep(1h);
  });
  older_handle = executor.spawn(KeepsWaker{older_waker});
  younger_handle = executor.spawn(KeepsWaker{younger_waker});
  executor.spawn_detached([&executor, fd = ends[0]]() -> Async<void> {
    const Local local;
    JoinHandle<int> other = executor.spawn(wait_deep(fd, 3));
    co_await other;
  });
  executor.run_until_stalled();
  executor.spawn_detached([local = std::make_unique<Local>()]() -> Async<void> { co_return; });  // never polled
  executor.check_deep();
  if (executor.live_tasks() != 7 || executor.tasks().size() != 7 || locals_alive - before != 58) ::_exit(not_filled);
}

// Leaves by exit(): silent, and through the verdict.
template <class Code>
void check_ends(Code&& code) {
  const testkit::Death death = testkit::run_in_child([&] {
    code();
    std::exit(0);
  });
  CAPTURE(death.standard_error);
  CHECK_FALSE(death.aborted);
  CHECK(death.exit_code == all_gone);
  CHECK(death.standard_error.empty());
}

}  // namespace

TEST_CASE("an executor of namespace scope ends with the process, its tasks alive", "[static]") {
  check_ends([] { fill(at_namespace_scope); });
}

TEST_CASE("an executor that is static in a function ends with the process, its tasks alive", "[static]") {
  check_ends([] {
    static Executor executor;
    fill(executor);
  });
}

TEST_CASE("a thread_local executor of the main thread ends with the process, its tasks alive", "[static]") {
  const bool frames_first = GENERATE(false, true);  // whether the thread's cache of frames is older than the executor
  CAPTURE(frames_first);
  check_ends([&] {
    if (frames_first) Executor().block_on([]() -> Async<void> { co_return; });
    thread_local Executor executor;
    fill(executor);
  });
}

TEST_CASE("all of them at once", "[static]") {
  check_ends([] {
    static Executor in_a_function;
    thread_local Executor of_the_thread;
    for (Executor* const executor : {&at_namespace_scope, &in_a_function, &of_the_thread}) fill(*executor);
  });
}

TEST_CASE("tasks of a static executor whose end wakes each other and spawns more", "[static]") {
  check_ends([] {
    verdict.is_armed = true;
    static std::array<LocalWaker, 2> wakers;
    static Executor executor;
    struct Ends {
      std::size_t which;
      ~Ends() {
        wakers.at(1 - which).wake_by_ref();
        executor.spawn_detached([local = std::make_unique<Local>()]() -> Async<void> { co_return; });
      }
    };
    const auto task = [](std::size_t which) -> Async<void> {
      wakers.at(which) = co_await OwnWaker();
      const Local local;
      const Ends ends{which};
      co_await forever();
    };
    for (const std::size_t which : {0U, 1U}) executor.spawn_detached(task, which);
    executor.run_until_stalled();
    if (executor.live_tasks() != 2 || locals_alive != 2) ::_exit(not_filled);
  });
}
