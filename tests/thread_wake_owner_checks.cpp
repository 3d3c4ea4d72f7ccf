// Shows that everything which belongs to the executor's thread aborts on another, with a line that says what to use
// instead, and that ids of threads are not reused, so that a new thread is never taken for the owner (BUGS C13, G15).
#include <sys/eventfd.h>

#include <chrono>
#include <optional>
#include <thread>

#include "assay/events.hpp"
#include "assay/run.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;

namespace {

const char* const wrong_thread =
    "an Executor, JoinHandle or LocalWaker was used on another thread than its executor's; use "
    "Context::waker() for a waker that may cross threads";

struct Scene {
  Executor executor{};
  Ledger ledger{};
  LocalWaker local{};
  bool never = false;
  JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [this](Context& context) -> Poll<int> {
    local = context.local_waker();
    return Pending;
  }));
  Scene() { executor.run_until_stalled(); }
};

auto elsewhere(void (*use)(Scene&)) {
  return [use] {
    Scene scene;
    std::thread([&] { use(scene); }).join();
  };
}

}  // namespace

TEST_CASE("C13 star s10: a LocalWaker used on another thread aborts cleanly", "[thread][abort][regression]") {
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.local.wake_by_ref(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { std::move(scene.local).wake(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { const LocalWaker copy = scene.local; }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { const LocalWaker last = std::move(scene.local); }));
}

TEST_CASE("abort: a JoinHandle on another thread", "[thread][abort]") {
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.handle.cancel(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.handle.detach(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { static_cast<void>(scene.handle.is_finished()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { static_cast<void>(scene.handle.try_join()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { const JoinHandle<int> dropped = std::move(scene.handle); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { run(scene.handle); }));
}

TEST_CASE("abort: an Executor on another thread", "[thread][abort]") {
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.run_until_stalled(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.poll_once(); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.block_on(YieldNow()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.spawn_detached(YieldNow()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { static_cast<void>(scene.executor.tasks()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.reserve(1, 1); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { static_cast<void>(scene.executor.pollable_fd()); }));
  check_dies(wrong_thread, elsewhere([](Scene& scene) { scene.executor.check_deep(); }));
  check_dies("an Executor was destroyed on another thread than the one that made it", [] {
    std::optional<Executor> executor(std::in_place);
    std::thread([&] { executor.reset(); }).join();
  });
}

TEST_CASE("abort: a timer or a wait for an fd that is destroyed on another thread", "[thread][abort]") {
  const auto polled_here_destroyed_there = [](auto made) {
    Executor executor;
    std::optional<decltype(made)> future(std::in_place, std::move(made));
    JoinHandle<void> task = executor.spawn(ScriptedFuture<void>(*new Ledger, [&](Context& context) -> Poll<void> {
      static_cast<void>(future->poll(context));
      return Pending;
    }));
    executor.run_until_stalled();
    std::thread([&] { future.reset(); }).join();
  };
  check_dies("a timer was destroyed on another thread than its executor's",
             [&] { polled_here_destroyed_there(sleep(std::chrono::hours(1))); });
  check_dies("a wait for an fd was begun or destroyed on another thread than its executor's",
             [&] { polled_here_destroyed_there(FdEvent(::eventfd(0, EFD_CLOEXEC), Interest::read)); });
}

TEST_CASE("G15 the thread that made an executor has gone, and the next one is not taken for it",
          "[thread][abort][regression]") {
  check_dies(wrong_thread, [] {
    std::optional<Executor> executor;
    std::thread([&] { executor.emplace(); }).join();
    // Linux gives the same pthread_t to the next thread more often than not.
    for (int i = 0; i < 10; ++i) {
      std::thread([&] { executor->run_until_stalled(); }).join();
    }
  });
}

TEST_CASE("abort: an Executor destroyed from inside itself", "[executor][abort]") {
  check_dies("an Executor was destroyed from inside itself", [] {
    std::optional<Executor> executor(std::in_place);
    auto end = [](std::optional<Executor>& mine) -> Async<void> {
      mine.reset();
      co_return;
    };
    executor->spawn_detached(end, std::ref(executor));
    executor->run_until_stalled();
  });
  check_dies("an Executor was destroyed from inside itself", [] {
    std::optional<Executor> executor(std::in_place);
    auto end = [](std::optional<Executor>& mine) -> Async<void> {
      mine.reset();
      co_return;
    };
    executor->block_on(end, std::ref(executor));
  });
  // From its own exception handler, outside the run loop: the handler's closure would be destroyed while it runs.
  check_dies("an Executor was destroyed from inside itself", [] {
    std::optional<Executor> executor;
    ExecutorOptions options;
    options.on_unhandled = [&executor](const TaskInfo&, std::exception_ptr) { executor.reset(); };
    executor.emplace(std::move(options));
    Ledger ledger;
    JoinHandle<int> handle = executor->spawn(ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { throw 1; }));
    executor->run_until_stalled();
    handle.detach();
  });
}
