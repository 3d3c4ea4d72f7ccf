// Shows that each misuse of an Async that the compiler cannot refuse aborts with a line that names it.
#include <optional>

#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;

namespace {

Async<int> number(int value) { co_return value; }
Async<void> waits() { co_await Forever<void>(); }

// Polls once, outside any executor.
template <class F>
void poll_once(F& future) {
  const Waker waker;
  Context context(waker);
  static_cast<void>(future.poll(context));
}

}  // namespace

TEST_CASE("abort: moving an Async after its first poll", "[coroutine][abort]") {
  check_dies("an Async was moved after its first poll", [] {
    Async<void> async = waits();
    poll_once(async);
    const Async<void> other = std::move(async);
  });
  check_dies("an Async was moved after its first poll", [] {
    Async<void> async = waits();
    poll_once(async);
    Async<void> other = waits();
    other = std::move(async);
  });
  check_survives([] {
    Async<void> async = waits();
    Async<void> other = std::move(async);
    async = std::move(other);
    poll_once(async);
  });
}

TEST_CASE("abort: polling or awaiting an empty Async", "[coroutine][abort]") {
  check_dies("an Async was polled that is empty: moved from, or awaited to its end", [] {
    Async<int> async = number(1);
    const Async<int> other = std::move(async);
    poll_once(async);
  });
  check_dies("co_await of an Async that is empty: moved from, or awaited already", [] {
    auto body = []() -> Async<int> {
      Async<int> child = number(1);
      const Async<int> other = std::move(child);
      co_return co_await child;
    };
    run(body());
  });
  check_dies("co_await of an Async that is empty: moved from, or awaited already", [] {
    auto body = []() -> Async<int> {
      Async<int> child = number(1);
      const int first = co_await child;
      const int second = co_await child;
      co_return first + second;
    };
    run(body());
  });
}

TEST_CASE("abort: awaiting an Async that was polled before", "[coroutine][abort]") {
  check_dies("co_await of an Async that was polled or awaited before", [] {
    auto body = []() -> Async<void> {
      Async<void> child = waits();
      poll_once(child);
      co_await child;
    };
    Async<void> async = body();
    poll_once(async);
  });
  check_dies("co_await of an Async that was polled or awaited before", [] {
    auto body = []() -> Async<void> {
      Async<int> child = number(1);
      poll_once(child);  // finished
      co_await child;
    };
    run(body());
  });
}

TEST_CASE("abort: an Async that is awaited by a coroutine is polled, moved or destroyed by somebody else",
          "[coroutine][abort]") {
  const auto with_awaited = [](void (*misuse)(std::optional<Async<void>>&)) {
    return [misuse] {
      std::optional<Async<void>> child(waits());
      auto body = [](std::optional<Async<void>>& awaited) -> Async<void> { co_await *awaited; };
      Async<void> async = body(child);
      poll_once(async);
      misuse(child);
    };
  };
  check_dies("an Async was polled while a coroutine awaits it",
             with_awaited([](std::optional<Async<void>>& child) { poll_once(*child); }));
  check_dies("an Async was moved after its first poll",
             with_awaited([](std::optional<Async<void>>& child) { const Async<void> thief = std::move(*child); }));
  check_dies("an Async was destroyed while a coroutine awaits it",
             with_awaited([](std::optional<Async<void>>& child) { child.reset(); }));
}

TEST_CASE("abort: an Async that is polled or destroyed from inside its own poll", "[coroutine][abort]") {
  check_dies("an Async was polled from inside its own poll", [] {
    std::optional<Async<void>> self;
    auto body = [](std::optional<Async<void>>& mine) -> Async<void> {
      poll_once(*mine);
      co_return;
    };
    self.emplace(body(self));
    poll_once(*self);
  });
  check_dies("an Async was destroyed from inside its own poll", [] {
    std::optional<Async<void>> self;
    auto body = [](std::optional<Async<void>>& mine) -> Async<void> {
      mine.reset();
      co_return;
    };
    self.emplace(body(self));
    poll_once(*self);
  });
  check_dies("an Async was destroyed while a coroutine awaits it", [] {
    std::optional<Async<void>> child;
    auto inner = [](std::optional<Async<void>>& mine) -> Async<void> {
      mine.reset();
      co_return;
    };
    child.emplace(inner(child));
    auto body = [](std::optional<Async<void>>& mine) -> Async<void> { co_await *mine; };
    run(body(child));
  });
}

TEST_CASE("abort: a coroutine that is resumed by something else than a poll", "[coroutine][abort]") {
  // No awaitable of the user's gets a handle; these go around the runtime, through what a promise offers.
  check_dies("a coroutine of assay was resumed by something else than a poll", [] {
    detail::AsyncPromise<void> promise;
    static_cast<void>(promise.context());
  });
  check_dies("the result of a coroutine was asked for that has not finished", [] {
    detail::AsyncPromise<void> parent;
    Async<int> child = number(1);
    static_cast<void>(detail::ChildAwaiter<int>(parent, child).await_resume());
  });
}
