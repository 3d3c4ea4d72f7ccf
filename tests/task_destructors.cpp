// Shows that destructors may wake, spawn, cancel and drop handles freely: destructors of a hand-written future, of a
// coroutine's local, and of an output; when the task completes, throws, is cancelled, cancels itself, loses its handle,
// or dies with its executor. The action happens exactly once, and everything that lived is gone in the end.
#include <optional>
#include <stdexcept>

#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum class Where { future, local, output };
enum class When { completion, exception, cancel, self_cancel, drop, death };
enum class What {
  wake_local,
  wake_any,
  wake_sibling,
  spawn_detached,
  spawn_kept,
  cancel_sibling,
  drop_sibling,
  drop_self
};

std::ostream& operator<<(std::ostream& out, Where where) {
  constexpr const char* names[] = {"future", "coroutine local", "output"};
  return out << names[static_cast<int>(where)];
}
std::ostream& operator<<(std::ostream& out, When when) {
  constexpr const char* names[] = {"completion", "exception", "cancel", "self-cancel", "drop", "executor death"};
  return out << names[static_cast<int>(when)];
}
std::ostream& operator<<(std::ostream& out, What what) {
  constexpr const char* names[] = {"wake by LocalWaker", "wake by Waker",  "wake a sibling", "spawn detached",
                                   "spawn and keep",     "cancel sibling", "drop sibling",   "drop own handle"};
  return out << names[static_cast<int>(what)];
}

// An output whose destructor acts, once, where it was not moved from.
struct Output {
  explicit Output(std::function<void()> action) : on_exit(std::move(action)) {}
  OnExit on_exit;
};

struct Scene {
  Ledger ledger;
  std::optional<Executor> executor{std::in_place};
  Executor* alive = &*executor;  // an optional that is being reset has no value any more
  KeptWaker local{WakerKind::local};
  KeptWaker remote{WakerKind::any_thread};
  KeptWaker sibling_waker{WakerKind::local};
  bool sibling_ready = false;
  std::optional<JoinHandle<int>> sibling;
  std::optional<JoinHandle<int>> kept;
  std::optional<JoinHandle<Output>> handle;
  int actions = 0;

  ScriptedFuture<int> late() {
    return ScriptedFuture<int>(ledger, [](Context&) -> Poll<int> { return Ready(9); });
  }

  void act(What what) {
    ++actions;
    switch (what) {
      case What::wake_local:
        local.wake_by_ref();
        local.wake();
        break;
      case What::wake_any:
        remote.wake_by_ref();
        remote.wake();
        break;
      case What::wake_sibling:
        sibling_waker.wake_by_ref();
        break;
      case What::spawn_detached:
        alive->spawn_detached(late());
        break;
      case What::spawn_kept:
        kept = alive->spawn(late());
        break;
      case What::cancel_sibling:
        sibling->cancel();
        break;
      case What::drop_sibling:
        sibling.reset();
        break;
      case What::drop_self:
        // Moved out first: the handle that is being destroyed or read may be the one in `handle`.
        if (handle) {
          const std::optional<JoinHandle<Output>> mine = std::exchange(handle, std::nullopt);
        }
        break;
    }
  }
};

Async<Output> with_local(ScriptedFuture<Output> script, std::function<void()> action) {
  const OnExit local(std::move(action));
  co_return co_await script;
}

}  // namespace

TEST_CASE("wake, spawn and cancel in a destructor", "[task][destructor]") {
  const Where where = GENERATE(Where::future, Where::local, Where::output);
  const When when =
      GENERATE(When::completion, When::exception, When::cancel, When::self_cancel, When::drop, When::death);
  const What what = GENERATE(What::wake_local, What::wake_any, What::wake_sibling, What::spawn_detached,
                             What::spawn_kept, What::cancel_sibling, What::drop_sibling, What::drop_self);
  CAPTURE(where, when, what);
  // An output exists only if there was a Ready; what happens to it is up to the rest.
  if (where == Where::output && when == When::exception) return;

  Scene scene;
  Executor& executor = *scene.executor;
  Probe probe(executor, scene.ledger);
  const auto act = [&scene, what] { scene.act(what); };

  // The sibling is woken by somebody, or cancelled, or waits to the end.
  scene.sibling = executor.spawn(waiting_script(scene.ledger, scene.sibling_waker, scene.sibling_ready));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 1, .futures = 1});

  bool go = false;
  const bool makes_output = where == Where::output || when == When::completion;
  const auto poll = [&](Context& context) -> Poll<Output> {
    if (!go) {
      scene.local.keep(context);
      scene.remote.keep(context);
      return Pending;
    }
    if (when == When::self_cancel) scene.handle->cancel();
    if (when == When::exception) throw std::runtime_error("thrown on purpose");
    if (makes_output) return Ready(Output(where == Where::output ? std::function<void()>(act) : nullptr));
    return Pending;
  };
  ScriptedFuture<Output> script(scene.ledger, poll, where == Where::future ? std::function<void()>(act) : nullptr);
  scene.handle =
      where == Where::local ? executor.spawn(with_local(std::move(script), act)) : executor.spawn(std::move(script));
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.spawned = 1, .polls = 1, .enqueued = 1, .live = 2, .futures = 2});
  CHECK(scene.actions == 0);

  // Ready first, where an output is to be destroyed by what follows.
  go = makes_output || when == When::exception || when == When::self_cancel;
  if (go) {
    scene.local.wake_by_ref();
    CHECK(executor.run_until_stalled() >= 1);
    executor.check_deep();
  }
  const bool output_waits = where == Where::output && when != When::self_cancel;
  const bool acted_in_poll = go && !output_waits;
  if (!acted_in_poll) CHECK(scene.actions == 0);
  switch (when) {
    case When::completion:
    case When::exception:
    case When::self_cancel:
      if (output_waits) {  // taken: destroyed by who took it
        auto mine = std::exchange(scene.handle, std::nullopt);
        CHECK(mine->try_join().has_value());
      }
      break;
    case When::cancel:
      scene.handle->cancel();
      if (output_waits) {  // too late: the outcome is the handle's
        CHECK(scene.actions == 0);
        auto mine = std::exchange(scene.handle, std::nullopt);
        mine.reset();
      }
      break;
    case When::drop: {
      auto mine = std::exchange(scene.handle, std::nullopt);
      mine.reset();
      break;
    }
    case When::death:
      break;
  }
  if (when != When::death) {
    CHECK(scene.actions == 1);
    executor.check_deep();
    executor.run_until_stalled();
    executor.check_deep();
    CHECK(scene.sibling.has_value() == (what != What::drop_sibling));
    if (what == What::cancel_sibling) CHECK(scene.sibling->is_cancelled());
    if (what == What::spawn_kept) CHECK(scene.kept->try_join() == 9);
    const ExecutorStats& stats = executor.stats();
    CHECK(stats.spawned == (what == What::spawn_detached || what == What::spawn_kept ? 3U : 2U));
    const std::uint64_t sibling_polls = what == What::wake_sibling ? 2 : 1;
    const std::uint64_t late_polls = stats.spawned - 2;
    CHECK(stats.polls == sibling_polls + late_polls + (go ? 2U : 1U));
    CHECK(stats.polls == scene.ledger.polls);
    const bool sibling_lives = what != What::drop_sibling && what != What::cancel_sibling;
    CHECK(scene.ledger.futures_alive() == (sibling_lives ? 1U : 0U));
  }
  if (when == When::death && output_waits) {
    scene.executor.reset();
    CHECK(scene.actions == 0);  // the outcome is the handle's still
    if (what == What::spawn_detached || what == What::spawn_kept) {
      // The destructor of the output would use an executor that is gone: that is its author's mistake, not shown here.
      auto unused = std::exchange(scene.handle, std::nullopt);
      scene.executor.emplace();
      unused.reset();
      scene.executor.reset();
    } else {
      auto mine = std::exchange(scene.handle, std::nullopt);
      mine.reset();
    }
  } else {
    scene.executor.reset();
  }
  CHECK(scene.actions == 1);
  CHECK(scene.ledger.futures_alive() == 0);
  scene.handle.reset();
  scene.sibling.reset();
  scene.kept.reset();
  scene.executor.reset();
  CHECK(scene.actions == 1);
  CHECK(scene.ledger.leftovers().empty());
}

TEST_CASE("a destructor destroys the executor of its task, outside the run loop", "[task][destructor][executor]") {
  const bool output = GENERATE(false, true);
  const bool by_drop = GENERATE(false, true);
  CAPTURE(output, by_drop);

  Ledger ledger;
  std::optional<Executor> executor(std::in_place);
  KeptWaker waker(WakerKind::local);
  const auto end = [&] { executor.reset(); };
  bool ready = output;
  ScriptedFuture<Output> script(
      ledger,
      [&](Context& context) -> Poll<Output> {
        if (ready) return Ready(Output(end));
        waker.keep(context);
        return Pending;
      },
      output ? std::function<void()>() : end);
  std::optional<JoinHandle<Output>> handle = executor->spawn(std::move(script));
  JoinHandle<void> other = executor->spawn(Forever<void>());
  CHECK(executor->run_until_stalled() == 2);
  if (by_drop || output) {
    handle.reset();
  } else {
    handle->cancel();
    CHECK(handle->is_cancelled());
  }
  CHECK_FALSE(executor.has_value());
  CHECK(ledger.futures_alive() == 0);
  CHECK_THROWS_AS(other.try_join(), TaskCancelled);
  if (handle) CHECK_THROWS_AS(handle->try_join(), TaskCancelled);
  waker.wake();
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("spawns in destructors while the executor dies: each is cancelled without a poll",
          "[task][destructor][executor]") {
  const int generations = GENERATE(1, 3, 10);
  CAPTURE(generations);
  Ledger ledger;
  {
    Executor executor;
    // Each task's destructor spawns the next generation.
    struct Spawner {
      Executor& executor;
      Ledger& ledger;
      int left;
      void operator()() const {
        if (left == 0) return;
        executor.spawn_detached(ScriptedFuture<int>(
            ledger, [](Context&) -> Poll<int> { return Ready(1); }, Spawner{executor, ledger, left - 1}));
      }
    };
    executor.spawn_detached(ScriptedFuture<int>(
        ledger, [keep = Forever<int>()](Context& context) mutable { return keep.poll(context); },
        Spawner{executor, ledger, generations}));
    CHECK(executor.run_until_stalled() == 1);
    CHECK(ledger.futures_alive() == 1);
  }
  CHECK(ledger.futures_made == static_cast<std::uint64_t>(generations) + 1);
  CHECK(ledger.polls == 1);
  CHECK(ledger.leftovers().empty());
}
