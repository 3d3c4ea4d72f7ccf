// One script, run in each way that the runtime knows: as a hand-written future, and awaited by coroutines.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <utility>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/executor.hpp"
#include "assay/join_handle.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/scripted_future.hpp"

namespace assay::test {

using testkit::Counted;
using testkit::Ledger;
using testkit::ScriptedFuture;

enum class Kind {
  future,     // the script is the task's future
  coroutine,  // a coroutine awaits it
  nested,     // three coroutines deep
  callable,   // a capturing coroutine lambda that the task owns
};

inline std::ostream& operator<<(std::ostream& out, Kind kind) {
  switch (kind) {
    case Kind::future:
      return out << "hand-written future";
    case Kind::coroutine:
      return out << "coroutine";
    case Kind::nested:
      return out << "nested coroutines";
    case Kind::callable:
      return out << "callable";
  }
  return out;
}

#define ANY_KIND()                                                                                   \
  GENERATE(::assay::test::Kind::future, ::assay::test::Kind::coroutine, ::assay::test::Kind::nested, \
           ::assay::test::Kind::callable)

template <class T>
Async<T> awaiting(ScriptedFuture<T> script) {
  co_return co_await script;
}

template <class T>
Async<T> awaiting_deeply(ScriptedFuture<T> script, int depth) {
  if (depth == 0) co_return co_await script;
  Async<T> inner = awaiting_deeply(std::move(script), depth - 1);
  co_return co_await inner;
}

template <class T>
JoinHandle<T> spawn_as(Executor& executor, Kind kind, ScriptedFuture<T> script) {
  switch (kind) {
    case Kind::future:
      return executor.spawn(std::move(script));
    case Kind::coroutine:
      return executor.spawn(awaiting(std::move(script)));
    case Kind::nested:
      return executor.spawn(awaiting_deeply(std::move(script), 2));
    case Kind::callable:
      break;
  }
  // The capture is used after a suspension: it lives in the task, not in this scope.
  int captured = 1;
  auto coroutine = [captured](ScriptedFuture<T> mine) -> Async<T> {
    struct Check {
      const int& value;
      ~Check() {
        if (value != 1) std::abort();
      }
    } const check{captured};
    co_return co_await mine;
  };
  return executor.spawn(std::move(coroutine), std::move(script));
}

enum class WakerKind { local, any_thread };

inline std::ostream& operator<<(std::ostream& out, WakerKind kind) {
  return out << (kind == WakerKind::local ? "LocalWaker" : "Waker");
}

#define ANY_WAKER() GENERATE(::assay::test::WakerKind::local, ::assay::test::WakerKind::any_thread)

// A waker of either kind, kept beyond the poll that gave it.
class KeptWaker {
 public:
  explicit KeptWaker(WakerKind kind) : kind_(kind) {}

  void keep(const Context& context) {
    if (kind_ == WakerKind::local) {
      local_ = context.local_waker();
    } else {
      any_ = context.waker();
    }
  }
  bool is_empty() const { return !local_ && !any_; }
  bool is_local() const { return kind_ == WakerKind::local; }

  void wake_by_ref() const {
    if (local_) local_->wake_by_ref();
    if (any_) any_->wake_by_ref();
  }
  // Wakes through a copy, by value.
  void wake_a_copy() const {
    if (local_) LocalWaker(*local_).wake();
    if (any_) Waker(*any_).wake();
  }
  void wake() {
    if (local_) std::move(*local_).wake();
    if (any_) std::move(*any_).wake();
    drop();
  }
  void drop() {
    local_.reset();
    any_.reset();
  }

 private:
  WakerKind kind_;
  std::optional<LocalWaker> local_{};
  std::optional<Waker> any_{};
};

// A script that is Pending until `*ready`, keeping the latest waker in `waker`.
inline ScriptedFuture<int> waiting_script(Ledger& ledger, KeptWaker& waker, const bool& ready, int value = 7,
                                          std::function<void()> on_destroy = {}) {
  return ScriptedFuture<int>(
      ledger,
      [&waker, &ready, value](Context& context) -> Poll<int> {
        if (ready) return Ready(value);
        waker.keep(context);
        return Pending;
      },
      std::move(on_destroy));
}

// Runs a function when it goes, as a local of a coroutine.
class OnExit {
 public:
  explicit OnExit(std::function<void()> action) : action_(std::move(action)) {}
  OnExit(OnExit&& other) noexcept : action_(std::exchange(other.action_, nullptr)) {}
  OnExit& operator=(OnExit&&) = delete;
  ~OnExit() {
    if (action_) action_();
  }

 private:
  std::function<void()> action_;
};

}  // namespace assay::test
