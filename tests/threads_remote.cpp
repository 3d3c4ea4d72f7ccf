// Shows that threads::Remote runs what other threads give it on its executor's thread, with the outcome of each task coming back:
// values, exceptions, cancelling, detaching, an executor that is full, dying or dead.
#include <atomic>
#include <barrier>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "assay/threads.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// An executor on a thread of its own, until it is told to end.
class Elsewhere {
 public:
  explicit Elsewhere(ExecutorOptions options = {}) {
    auto [here, there] = threads::oneshot<threads::Remote>();
    auto [stop, stopped] = threads::oneshot<Unit>();
    stop_.emplace(std::move(stop));
    thread_ = std::thread([options = std::move(options), mine = std::move(here), end = std::move(stopped), this]() mutable {
      Executor executor(std::move(options));
      mine.send(threads::Remote(executor));
      executor.block_on(end);
      executor.run_until_stalled();
      executor.check_deep();
      stats_ = executor.stats();
    });
    remote_.emplace(std::move(*run(there)));
  }
  ~Elsewhere() {
    if (thread_.joinable()) end();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

  const threads::Remote& remote() const { return *remote_; }
  std::thread::id id() const { return thread_.get_id(); }
  // What happened there, in all.
  ExecutorStats end() {
    stop_->send(Unit());
    thread_.join();
    return stats_;
  }

 private:
  std::optional<threads::OneshotSender<Unit>> stop_;
  std::optional<threads::Remote> remote_;
  std::thread thread_;
  ExecutorStats stats_;
};

Async<int> twice(int number) {
  co_await yield_now();
  co_return 2 * number;
}

}  // namespace

TEST_CASE("a remote task gives what it yields to a thread that waits", "[threads][remote]") {
  Elsewhere elsewhere;
  CHECK(elsewhere.remote().spawn(twice, 3).join() == 6);
  CHECK(elsewhere.remote().spawn(TaskName("named"), twice, 4).join() == 8);
  CHECK(elsewhere.remote().spawn(twice(5)).join() == 10);
  const std::thread::id ran_on = elsewhere.remote().spawn([]() -> Async<std::thread::id> { co_return std::this_thread::get_id(); }).join();
  CHECK(ran_on == elsewhere.id());
  auto text = std::make_unique<std::string>("moved");
  const auto length = [](std::unique_ptr<std::string> mine) -> Async<std::size_t> { co_return mine->size(); };
  CHECK(elsewhere.remote().spawn(length, std::move(text)).join() == 5);
  static int referred = 0;
  CHECK(&elsewhere.remote().spawn([]() -> Async<int&> { co_return referred; }).join() == &referred);
  bool ran = false;
  elsewhere.remote().spawn([&]() -> Async<void> { ran = true; co_return; }).join();
  CHECK(ran);
  const ExecutorStats stats = elsewhere.end();
  CHECK(stats.spawned == 9);  // with the one that serves, and block_on's
  CHECK(stats.completed == 8);
  CHECK(stats.threw == 0);
}

TEST_CASE("a remote task's exception is thrown to whoever waits", "[threads][remote]") {
  Elsewhere elsewhere;
  auto handle = elsewhere.remote().spawn([]() -> Async<int> {
    throw std::runtime_error("over there");
    co_return 1;
  });
  CHECK_THROWS_AS(handle.join(), std::runtime_error);
  CHECK(elsewhere.end().threw == 0);
}

TEST_CASE("a task awaits one of another executor", "[threads][remote]") {
  Elsewhere elsewhere;
  Executor executor;
  const auto both = [](const threads::Remote& remote) -> Async<int> {
    threads::RemoteHandle<int> first = remote.spawn(twice, 1);
    threads::RemoteHandle<int> second = remote.spawn(twice, 2);
    co_return co_await first + co_await second;
  };
  CHECK(executor.block_on(both(elsewhere.remote())) == 6);
  executor.check_deep();
}

TEST_CASE("a remote task is cancelled by its handle", "[threads][remote]") {
  const bool drops = GENERATE(false, true);
  Elsewhere elsewhere;
  auto [alive, dead] = threads::oneshot<int>();
  auto [begun, begins] = threads::oneshot<int>();
  std::optional<threads::RemoteHandle<void>> handle(elsewhere.remote().spawn(
      [](threads::OneshotSender<int>, threads::OneshotSender<int> started) -> Async<void> {
        started.send(1);
        co_await forever();
      },
      std::move(alive), std::move(begun)));
  CHECK(run(begins) == 1);
  CHECK_FALSE(handle->is_finished());
  if (drops) {
    handle.reset();
  } else {
    handle->cancel();
    CHECK(handle->is_finished());
    CHECK_THROWS_AS(handle->join(), TaskCancelled);
  }
  CHECK(run(dead) == std::nullopt);  // the future ends over there, without our asking again
}

TEST_CASE("a detached remote task runs on, and what it throws goes to its executor's handler", "[threads][remote]") {
  const bool throws = GENERATE(false, true);
  auto [done, is_done] = threads::oneshot<std::string>();
  auto sender = std::make_shared<threads::OneshotSender<std::string>>(std::move(done));
  ExecutorOptions options;
  options.on_unhandled = [sender](const TaskInfo& task, std::exception_ptr) { sender->send("threw: " + std::string(task.name)); };
  Elsewhere elsewhere(std::move(options));
  auto [go, gone] = threads::oneshot<int>();
  auto handle = elsewhere.remote().spawn(
      TaskName("detached"),
      [](threads::OneshotReceiver<int> wait, std::shared_ptr<threads::OneshotSender<std::string>> say, bool does_throw) -> Async<void> {
        co_await wait;
        if (does_throw) throw 1;
        say->send("done");
      },
      std::move(gone), sender, throws);
  handle.detach();
  CHECK(handle.is_empty());
  go.send(1);
  CHECK(run(is_done) == (throws ? "threw: detached" : "done"));
}

TEST_CASE("a full executor says so to the handle of a remote task", "[threads][remote]") {
  ExecutorOptions options;
  options.task_slots = 3;  // block_on's, the one that serves, and one more
  options.task_growth = false;
  Elsewhere elsewhere(options);
  auto first = elsewhere.remote().spawn([]() -> Async<void> { co_await forever(); });
  auto second = elsewhere.remote().spawn(twice, 1);
  CHECK_THROWS_AS(second.join(), ExecutorFull);
  CHECK_FALSE(first.is_finished());
}

TEST_CASE("an executor that ends cancels remote tasks, and those that come later", "[threads][remote]") {
  Ledger ledger;
  std::optional<Elsewhere> elsewhere(std::in_place);
  threads::Remote remote = elsewhere->remote();
  auto waits = remote.spawn([](Counted) -> Async<void> { co_await forever(); }, Counted(ledger, 1));
  elsewhere.reset();
  CHECK_THROWS_AS(waits.join(), TaskCancelled);
  CHECK(ledger.values_alive() == 0);
  auto late = remote.spawn([](Counted) -> Async<void> { co_return; }, Counted(ledger, 2));
  CHECK(late.is_finished());
  CHECK(ledger.values_alive() == 0);
  CHECK_THROWS_AS(late.join(), TaskCancelled);
}

TEST_CASE("a Remote takes one task, for as long as a copy of it lives", "[threads][remote]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  std::optional<threads::Remote> remote(std::in_place, executor);
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1});
  std::optional<threads::Remote> copy = remote;
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .live = 1});
  remote.reset();
  CHECK(executor.run_until_stalled() == 0);
  CHECK(probe.step() == Step{.live = 1});
  copy.reset();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1, .remote_wakes = 1, .enqueued = 1});
}

TEST_CASE("a remote task's future has ended when its handle hears of it", "[threads][remote]") {
  // All on one thread: the destructor may look at the handle.
  struct Watched {
    std::optional<threads::RemoteHandle<int>>& handle;
    std::optional<bool>& was_finished;
    ~Watched() { was_finished = handle->is_finished(); }
  };
  const bool is_done = GENERATE(false, true);
  std::optional<threads::RemoteHandle<int>> handle;
  std::optional<bool> was_finished;
  std::optional<Executor> executor(std::in_place);
  std::optional<threads::Remote> remote(std::in_place, *executor);
  handle.emplace(remote->spawn([](std::unique_ptr<Watched>, bool ends) -> Async<int> {
    if (!ends) co_await forever();
    co_return 7;
  }, std::unique_ptr<Watched>(new Watched{handle, was_finished}), is_done));
  executor->run_until_stalled();
  CHECK(was_finished.has_value() == is_done);
  executor.reset();
  CHECK(was_finished == false);
  CHECK(handle->is_finished());
  if (is_done) CHECK(handle->join() == 7);
}

TEST_CASE("many remote tasks at once leave the executor's others their turn", "[threads][remote]") {
  Executor executor;
  threads::Remote remote(executor);
  const auto polls_until_it_is_done = [&](unsigned jobs) {
    for (unsigned job = 0; job != jobs; ++job) remote.spawn(twice, 1).detach();
    const std::uint64_t before = executor.stats().polls;
    executor.block_on(yield_now());
    const std::uint64_t polls = executor.stats().polls - before;
    executor.run_until_stalled();
    return polls;
  };
  CHECK(polls_until_it_is_done(1000) < 3 * threads::detail::RemoteService::jobs_per_poll);
}

TEST_CASE("threads spawn in each other's executors", "[threads][remote]") {
  constexpr std::size_t count = 3;
  const unsigned each = static_cast<unsigned>(scaled(300, 20));
  std::vector<std::unique_ptr<Elsewhere>> all;
  for (std::size_t index = 0; index != count; ++index) all.push_back(std::make_unique<Elsewhere>());
  std::vector<threads::RemoteHandle<int>> rings;
  for (std::size_t index = 0; index != count; ++index) {
    const threads::Remote next = all.at((index + 1) % count)->remote();
    rings.push_back(all.at(index)->remote().spawn([](threads::Remote to, unsigned times) -> Async<int> {
      int sum = 0;
      for (unsigned time = 0; time != times; ++time) sum += co_await to.spawn(twice, 1);
      co_return sum;
    }, next, each));
  }
  for (threads::RemoteHandle<int>& ring : rings) CHECK(ring.join() == static_cast<int>(2 * each));
}

TEST_CASE("join() on the thread that is to do the work", "[threads][remote][abort]") {
  check_dies("RemoteHandle::join was called on the thread that is to do the work", [] {
    Executor executor;
    threads::Remote remote(executor);
    remote.spawn(twice, 1).join();
  });
}
