// Fibers: stacks to switch between within one thread of the operating system, for the interleaving explorer.
// Thread rules: a fiber stays on the thread that started it.
// Invariants:
//  (1) A fiber that was left is only continued by switching to it, or given up: then its stack is used again, and what
//      lives there is never destroyed. That is how the explorer ends an execution that goes nowhere: the code under
//      test is noexcept and cannot be unwound.
//  (2) Sanitizers are told of every switch, and of every stack that begins a new life.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include "assay/base/tools.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASSAY_FIBER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ASSAY_FIBER_TSAN 1
#endif
#if defined(ASSAY_WITH_ASAN)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(ASSAY_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace assay::testkit::explorer {

#if defined(__x86_64__)

// Leaves one stack for another: the six registers that a callee must keep, and the stack pointer.
[[gnu::naked, gnu::noinline]] inline void switch_stacks(void** /*from: rdi*/, void* /*to: rsi*/) {
  asm volatile(
      "pushq %rbp\n"
      "pushq %rbx\n"
      "pushq %r12\n"
      "pushq %r13\n"
      "pushq %r14\n"
      "pushq %r15\n"
      "movq %rsp, (%rdi)\n"
      "movq %rsi, %rsp\n"
      "popq %r15\n"
      "popq %r14\n"
      "popq %r13\n"
      "popq %r12\n"
      "popq %rbx\n"
      "popq %rbp\n"
      "ret\n");
}

#endif

// One stack. The stack of whoever explores is a Fiber too, that was never begun.
class Fiber {
 public:
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() {
#if defined(ASSAY_FIBER_TSAN)
    if (stack_ != nullptr && tsan_ != nullptr) __tsan_destroy_fiber(tsan_);
#endif
    if (stack_ != nullptr) ::munmap(stack_, size + guard);
  }

  // Makes the fiber ready to begin with `entry`, which must not return, wherever it was left before.
  void prepare(void (*entry)()) {
    if (stack_ == nullptr) {
      void* place =
          ::mmap(nullptr, size + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (place == MAP_FAILED || ::mprotect(place, guard, PROT_NONE) != 0) {
        std::perror("explorer: a fiber's stack");
        std::abort();
      }
      stack_ = static_cast<char*>(place);
    }
#if defined(ASSAY_WITH_ASAN)
    ASAN_UNPOISON_MEMORY_REGION(stack_ + guard, size);
#endif
#if defined(ASSAY_FIBER_TSAN)
    if (tsan_ != nullptr) __tsan_destroy_fiber(tsan_);
    tsan_ = __tsan_create_fiber(0);
#endif
    entry_ = entry;
#if defined(__x86_64__)
    // As if `begin` had been called: what it would return to stands at the top, which is 8 less than a multiple of 16.
    auto* top = reinterpret_cast<void**>(stack_ + guard + size) - 1;
    *top = nullptr;                                   // where `begin` would return to
    *--top = reinterpret_cast<void*>(&Fiber::begin);  // where switch_stacks returns to
    for (int reg = 0; reg != 6; ++reg) *--top = nullptr;
    top_ = top;
#else
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack_ + guard;
    context_.uc_stack.ss_size = size;
    context_.uc_link = nullptr;
    ::makecontext(&context_, &Fiber::begin, 0);
#endif
  }

  // Leaves this fiber, on which the caller runs, for another.
  void switch_to(Fiber& next) {
    coming_ = &next;
#if defined(ASSAY_WITH_ASAN)
    if (stack_ == nullptr && own_bottom_ == nullptr) find_own_stack();
    __sanitizer_start_switch_fiber(&fake_stack_, next.stack_ != nullptr ? next.stack_ + guard : next.own_bottom_,
                                   next.stack_ != nullptr ? size : next.own_size_);
#endif
#if defined(ASSAY_FIBER_TSAN)
    if (stack_ == nullptr && tsan_ == nullptr) tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(next.tsan_, 0);
#endif
#if defined(__x86_64__)
    switch_stacks(&top_, next.top_);
#else
    ::swapcontext(&context_, &next.context_);
#endif
#if defined(ASSAY_WITH_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
  }

 private:
  static constexpr std::size_t size = std::size_t{256} << 10;
  static constexpr std::size_t guard = 4096;

  static void begin() {
#if defined(ASSAY_WITH_ASAN)
    // Its fake stack is that of its last life, if it had one: whoever was given up has left frames there, which are
    // collected.
    __sanitizer_finish_switch_fiber(coming_->fake_stack_, nullptr, nullptr);
#endif
    coming_->entry_();
    std::abort();
  }

#if defined(ASSAY_WITH_ASAN)
  void find_own_stack() {
    pthread_attr_t attributes;
    void* bottom = nullptr;
    ::pthread_getattr_np(::pthread_self(), &attributes);
    ::pthread_attr_getstack(&attributes, &bottom, &own_size_);
    ::pthread_attr_destroy(&attributes);
    own_bottom_ = bottom;
  }
  void* fake_stack_ = nullptr;
  const void* own_bottom_ = nullptr;
  std::size_t own_size_ = 0;
#endif
#if defined(ASSAY_FIBER_TSAN)
  void* tsan_ = nullptr;
#endif

  static inline thread_local Fiber* coming_ = nullptr;  // the one being switched to
  void (*entry_)() = nullptr;
  char* stack_ = nullptr;
#if defined(__x86_64__)
  void* top_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

}  // namespace assay::testkit::explorer
