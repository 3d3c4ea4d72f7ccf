// Runs code, and something else in the middle of it: before one of its atomic instructions, which is where another thread may come
// in and be noticed. Always at the same place, as threads cannot be told to be. x86-64 only, and not where a tool translates the
// code or keeps books in it: those see threads race instead.
#pragma once

#include <ucontext.h>

#include <csignal>
#include <functional>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(realtime_sanitizer)
#define ASSAY_TEST_TRANSLATED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(ASSAY_VALGRIND)
#define ASSAY_TEST_TRANSLATED 1
#endif

#if defined(__x86_64__) && !defined(ASSAY_TEST_TRANSLATED)
#define ASSAY_TEST_SINGLE_STEPS 1

namespace assay::test {

struct Interruption {
  unsigned left = 0;
  std::function<void()> between;
};
inline Interruption interruption;

constexpr long long trap_flag = 0x100;

// An exchange, or what has a lock prefix; but for increments (FF), which count what ran (ci/coverage).
inline bool is_atomic(const unsigned char* instruction) {
  const auto past_size = [](const unsigned char* at) { return (*at & 0xf0) == 0x40 ? at + 1 : at; };
  if (*instruction == 0xf0) return *past_size(instruction + 1) != 0xff;
  return (*past_size(instruction) & 0xfe) == 0x86;
}

// The processor traps after each instruction of the code, until its flag is cleared.
inline void after_an_instruction(int, siginfo_t*, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (!is_atomic(reinterpret_cast<const unsigned char*>(registers[REG_RIP])) || interruption.left-- != 0) return;
  registers[REG_EFL] &= ~trap_flag;
  interruption.between();
}

// Runs `code`, and `between` once in the middle: before its atomic instruction number `at`, if it has that many. Neither may
// allocate.
template <class Code>
void interrupted(Code&& code, unsigned at, std::function<void()> between) {
  interruption = {at, std::move(between)};
  struct sigaction handler {};
  struct sigaction before {};
  handler.sa_sigaction = after_an_instruction;
  handler.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &handler, &before);
  // The flag is set and cleared on the stack, below what the compiler may keep there.
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
  std::forward<Code>(code)();
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
  ::sigaction(SIGTRAP, &before, nullptr);
}

}  // namespace assay::test
#endif
