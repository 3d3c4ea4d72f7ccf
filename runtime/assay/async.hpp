// Async<T>: a coroutine that is a Future.
//
//   Async<int> twice(int x) { co_return 2 * x; }
//   Async<void> caller() { int six = co_await twice(3); co_await sleep(1s); }
//
// Lazy: runs from its first poll or co_await on. Inside, co_await takes any Future, and any Async without recursion: a chain
// of co_awaits may be as deep as memory allows, and a wake costs the same at any depth. What the body throws, the awaiter
// catches. Destroying an Async cancels it: its locals are destroyed, innermost coroutine first.
// One thread at a time. Aborts when moved after its first poll, polled after Ready, or awaited twice.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "assay/base/attributes.hpp"
#include "assay/coroutine.hpp"
#include "assay/future.hpp"
#include "assay/yield_now.hpp"

namespace assay {

template <class T = void>
class Async;

namespace detail {

// A value, or an exception, or neither yet.
template <class T>
class Outcome {
 public:
  template <class... Args>
  void set_value(Args&&... args) {
    value_.emplace(std::forward<Args>(args)...);
  }
  void set_exception(std::exception_ptr error) noexcept { error_ = std::move(error); }

  // The value, to be moved out; or throws the exception.
  Stored<T>&& take() {
    if (error_ != nullptr) std::rethrow_exception(std::move(error_));
    ASSAY_CHECK(value_.has_value(), "internal: an outcome was taken before it was there");
    return std::move(*value_);
  }

 private:
  std::optional<Stored<T>> value_;
  std::exception_ptr error_;
};

// From how a value is kept to what the user gets.
template <class T>
T unstore(Stored<T>&& stored) {
  if constexpr (std::is_reference_v<T>) {
    return stored.get();
  } else if constexpr (!std::is_void_v<T>) {
    return std::move(stored);
  }
}

// Awaits a Future that lives in the awaiting coroutine's frame, or outside it.
template <Future F>
class [[nodiscard]] LeafAwaiter final : public Leaf {
 public:
  using Output = typename F::Output;

  LeafAwaiter(ChainFrame& frame, F& future, const std::source_location& where) noexcept
      : Leaf(where), frame_(frame), future_(future) {}

  bool await_ready() { return poll_future(frame_.context()); }
  void await_suspend(std::coroutine_handle<>) noexcept { frame_.suspend_on(*this); }
  Output await_resume() { return unstore<Output>(outcome_.take()); }

  // Called by the kernel while this is the leaf.
  ASSAY_RUNS_OTHERS bool poll_leaf(Context& context) noexcept ASSAY_NONBLOCKING override {
    return ASSAY_UNCHECKED(poll_or_catch(context));
  }

 private:
  bool poll_or_catch(Context& context) noexcept {
    try {
      return poll_future(context);
    } catch (...) {
      outcome_.set_exception(std::current_exception());
      return true;
    }
  }
  bool poll_future(Context& context) {
    Poll<Output> result = future_.poll(context);
    if (result.is_pending()) return false;
    outcome_.set_value(std::move(result).take_stored());
    return true;
  }

  ChainFrame& frame_;
  F& future_;
  Outcome<Output> outcome_;
};

// Awaits a YieldNow.
class [[nodiscard]] YieldAwaiter final : public Leaf {
 public:
  YieldAwaiter(ChainFrame& frame, YieldNow& yield, const std::source_location& where) noexcept
      : Leaf(where), frame_(frame), yield_(yield) {}

  bool await_ready() const noexcept { return yield_.has_begun(); }
  ASSAY_HOT void await_suspend(std::coroutine_handle<>) {
    static_cast<void>(yield_.poll(frame_.context()));
    frame_.suspend_once(*this);
  }
  void await_resume() const noexcept {}

  bool poll_leaf(Context&) noexcept ASSAY_NONBLOCKING override { return true; }

 private:
  ChainFrame& frame_;
  YieldNow& yield_;
};

// Awaits an Async: its frame joins the chain of the awaiting one.
template <class T>
class [[nodiscard]] ChildAwaiter {
 public:
  ChildAwaiter(ChainFrame& parent, Async<T>& child) noexcept : parent_(parent), child_(child) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) noexcept { child_.coroutine_.await_from(parent_); }
  T await_resume() { return child_.take_result(); }

 private:
  ChainFrame& parent_;
  Async<T>& child_;
};

template <class T>
class PromiseBase : public ChainFrame {
 public:
  void unhandled_exception() noexcept { outcome.set_exception(std::current_exception()); }

  template <class U>
  ChildAwaiter<U> await_transform(Async<U>&& child) noexcept {
    return ChildAwaiter<U>(*this, child);
  }
  template <class U>
  ChildAwaiter<U> await_transform(Async<U>& child) noexcept {
    return ChildAwaiter<U>(*this, child);
  }
  YieldAwaiter await_transform(YieldNow&& yield, const std::source_location where = std::source_location::current()) noexcept {
    return YieldAwaiter(*this, yield, where);
  }
  YieldAwaiter await_transform(YieldNow& yield, const std::source_location where = std::source_location::current()) noexcept {
    return YieldAwaiter(*this, yield, where);
  }
  template <class F>
    requires Future<std::remove_reference_t<F>>
  LeafAwaiter<std::remove_reference_t<F>> await_transform(
      F&& future, const std::source_location where = std::source_location::current()) noexcept {
    return LeafAwaiter<std::remove_reference_t<F>>(*this, future, where);
  }
  // Whatever else is awaited is refused, in words.
  template <class Other>
    requires(!Future<std::remove_reference_t<Other>>)
  std::suspend_always await_transform(Other&&) noexcept {
    static_assert(Future<std::remove_reference_t<Other>>,
                  "co_await takes a Future: it has `Output`, `Poll<Output> poll(Context&)` and a destructor that does not throw");
    return {};
  }

  Outcome<T> outcome;
};

template <class T>
class AsyncPromise final : public PromiseBase<T> {
 public:
  Async<T> get_return_object() noexcept;

  template <class U = T>
    requires std::is_constructible_v<Stored<T>, U&&>
  void return_value(U&& value) {
    this->outcome.set_value(std::forward<U>(value));
  }
};

template <>
class AsyncPromise<void> final : public PromiseBase<void> {
 public:
  Async<void> get_return_object() noexcept;
  void return_void() noexcept { outcome.set_value(); }
};

}  // namespace detail

template <class T>
class [[nodiscard("an Async does nothing until it is awaited, polled or spawned")]] ASSAY_CORO_RETURN_TYPE
    ASSAY_CORO_LIFETIMEBOUND Async {
 public:
  using Output = T;
  using promise_type = detail::AsyncPromise<T>;

  // Polls from outside a coroutine. Throws what the coroutine threw.
  ASSAY_HOT Poll<T> poll(Context& context) {
    if (!coroutine_.poll(context)) return Pending;
    return Ready<Stored<T>>(coroutine_.finished_promise().outcome.take());
  }

  // Where the innermost awaited coroutine waits, or null.
  const std::source_location* waiting_at() const noexcept { return coroutine_.waiting_at(); }

  // Aborts unless the kernel's invariants hold; returns how many coroutines await each other here. O(depth).
  std::size_t check_deep() const noexcept { return coroutine_.check_deep(); }

 private:
  friend promise_type;
  template <class>
  friend class detail::ChildAwaiter;

  explicit Async(promise_type& promise) noexcept : coroutine_(promise) {}

  // The result of the finished coroutine, whose frame is gone when this returns or throws.
  ASSAY_HOT T take_result() {
    struct End {
      detail::Coroutine& coroutine;
      ~End() { coroutine.reset(); }
    } const end{coroutine_};
    return detail::unstore<T>(coroutine_.finished_promise().outcome.take());
  }

  detail::CoroutineOf<promise_type> coroutine_;
};

// Gives back to the system what this thread has kept of ended coroutines to use again: as much as it has needed at one time, and of
// what other threads made at most 64 MiB for each size. Any thread; coroutines that are alive are not concerned. O(kept frames). A
// thread does the same when it ends.
inline void trim_frames() noexcept { audited::trim_frame_pool(); }

template <class T>
Async<T> detail::AsyncPromise<T>::get_return_object() noexcept {
  return Async<T>(*this);
}
inline Async<void> detail::AsyncPromise<void>::get_return_object() noexcept { return Async<void>(*this); }

}  // namespace assay
