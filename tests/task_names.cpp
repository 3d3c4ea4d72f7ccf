// Shows tasks(): ids, names, states, and the co_await where each coroutine waits, however deep; hand-written futures
// have none.
#include <string>
#include <string_view>

#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"

using namespace assay;
using namespace assay::test;

namespace {

std::uint32_t first_line = 0;
std::uint32_t second_line = 0;

Async<void> waits_twice(bool& go, LocalWaker& waker) {
  struct Gate {
    using Output = void;
    Poll<void> poll(Context& context) {
      if (go) return Ready();
      waker = context.local_waker();
      return Pending;
    }
    bool& go;
    LocalWaker& waker;
  } gate{go, waker};
  first_line = __LINE__ + 1;
  co_await gate;
  Gate second{go, waker};
  go = false;
  second_line = __LINE__ + 1;
  co_await second;
}

Async<void> outer(bool& go, LocalWaker& waker) {
  Async<void> inner = waits_twice(go, waker);
  co_await inner;
}

}  // namespace

TEST_CASE("tasks() tells ids, names and states", "[tasks]") {
  Ledger ledger;
  Executor executor;
  KeptWaker waker(WakerKind::local);
  KeptWaker other(WakerKind::any_thread);
  bool never = false;
  CHECK(executor.tasks().empty());
  JoinHandle<int> waiting = executor.spawn("waiting", waiting_script(ledger, waker, never));
  CHECK(executor.run_until_stalled() == 1);
  JoinHandle<int> ready = executor.spawn(waiting_script(ledger, other, never));
  JoinHandle<std::size_t> running =
      executor.spawn("running", ScriptedFuture<std::size_t>(ledger, [&](Context&) -> Poll<std::size_t> {
                       const auto seen = executor.tasks();
                       CHECK(seen.size() == 3);
                       CHECK(seen.at(0).state == TaskState::waiting);
                       CHECK(seen.at(1).state == TaskState::waiting);
                       CHECK(seen.at(2).state == TaskState::running);
                       return Ready(seen.size());
                     }));
  auto list = executor.tasks();
  REQUIRE(list.size() == 3);
  CHECK(list.at(0).id == 1);
  CHECK(list.at(0).name == "waiting");
  CHECK(list.at(0).state == TaskState::waiting);
  CHECK_FALSE(list.at(0).waiting_at.has_value());
  CHECK(list.at(1).id == 2);
  CHECK(list.at(1).name == "task");
  CHECK(list.at(1).state == TaskState::ready);
  CHECK(list.at(2).id == 3);
  CHECK(list.at(2).name == "running");
  CHECK(list.at(2).state == TaskState::ready);
  CHECK(executor.run_until_stalled() == 2);
  list = executor.tasks();
  REQUIRE(list.size() == 2);  // the third is done
  CHECK(list.at(1).state == TaskState::waiting);
  waiting.cancel();
  CHECK(executor.tasks().size() == 1);
  CHECK(running.try_join() == 3);
}

TEST_CASE("tasks() tells at which co_await a coroutine waits", "[tasks]") {
  const bool nested = GENERATE(false, true);
  const bool callable = GENERATE(false, true);
  CAPTURE(nested, callable);
  Executor executor;
  bool go = false;
  LocalWaker waker;
  JoinHandle<void> handle = callable
                                ? executor.spawn("clerk", nested ? outer : waits_twice, std::ref(go), std::ref(waker))
                                : executor.spawn("clerk", nested ? outer(go, waker) : waits_twice(go, waker));
  CHECK_FALSE(executor.tasks().at(0).waiting_at.has_value());  // not started
  CHECK(executor.run_until_stalled() == 1);
  auto list = executor.tasks();
  REQUIRE(list.at(0).waiting_at.has_value());
  CHECK(std::string_view(list.at(0).waiting_at->file_name()).ends_with("task_names.cpp"));
  CHECK(list.at(0).waiting_at->line() == first_line);
  CHECK(std::string(list.at(0).waiting_at->function_name()).find("waits_twice") != std::string::npos);
  go = true;
  waker.wake_by_ref();
  list = executor.tasks();
  CHECK(list.at(0).state == TaskState::ready);
  CHECK(list.at(0).waiting_at->line() == first_line);
  CHECK(executor.run_until_stalled() == 1);
  list = executor.tasks();
  REQUIRE(list.at(0).waiting_at.has_value());
  CHECK(list.at(0).waiting_at->line() == second_line);
  CHECK(first_line != second_line);
  go = true;
  std::move(waker).wake();
  CHECK(executor.run_until_stalled() == 1);
  CHECK(executor.tasks().empty());
  CHECK(handle.try_join().has_value());
}

TEST_CASE("block_on is a task too, and shows the place of what it runs", "[tasks]") {
  Executor executor;
  auto look = [](Executor& mine) -> Async<void> {
    co_await yield_now();
    const auto list = mine.tasks();
    CHECK(list.size() == 1);
    CHECK(list.at(0).name == "block_on");
    CHECK(list.at(0).state == TaskState::running);
  };
  executor.block_on(look, std::ref(executor));
  CHECK(executor.tasks().empty());
}
