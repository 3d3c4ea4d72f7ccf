// The smallest lazy coroutine that can await another, without anything of assay: what fails here is the compiler.
#pragma once

#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <utility>

template <class T>
struct Task {
  struct promise_type {
    T value{};
    std::coroutine_handle<> parent = std::noop_coroutine();
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        return self.promise().parent;
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(T given) { value = given; }
    void unhandled_exception() { std::abort(); }
  };

  explicit Task(std::coroutine_handle<promise_type> given) : handle(given) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~Task() {
    if (handle) handle.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
    handle.promise().parent = parent;
    return handle;
  }
  T await_resume() { return handle.promise().value; }

  T run() {
    handle.resume();
    return handle.promise().value;
  }

  std::coroutine_handle<promise_type> handle;
};

// Counts its lives.
struct Counted {
  static inline int made = 0;
  static inline int destroyed = 0;
  Counted() { ++made; }
  Counted(const Counted&) { ++made; }
  Counted(Counted&&) noexcept { ++made; }
  ~Counted() { ++destroyed; }
};

// Exit code 0: the compiler is right. 1: it is wrong.
inline int verdict(bool right) {
  std::printf("%s\n", right ? "right" : "WRONG");
  return right ? 0 : 1;
}
inline int lives_balance() {
  std::printf("made %d, destroyed %d: ", Counted::made, Counted::destroyed);
  return verdict(Counted::made == Counted::destroyed);
}
