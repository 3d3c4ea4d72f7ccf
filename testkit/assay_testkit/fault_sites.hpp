// Which places of a program allocate or make system calls, and at which of them a fault was injected: the stack of each call, by
// return addresses, once. A program can thus be asked whether its fault loops have reached *and* failed every site there is
// (ci/checks/fault-sites does, for assay).
//
// The record is in memory that child processes share. It is on while the environment variable ASSAY_FAULT_SITES names a file:
// at the program's end that file holds a line for each stack, `allocation failed 4a10 51b2 ...`, or `epoll_ctl reached ...`: addresses
// in the program's own file, innermost first. glibc only.
#pragma once

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/system_faults.hpp"

namespace assay::testkit {

// One for the program. Any thread.
class FaultSites {
 public:
  // Starts to record this thread's allocations and all system calls that SystemFaults sees, if ASSAY_FAULT_SITES is set.
  static void record() noexcept {
    if (!is_wanted()) return;
    table();
    observe_allocations([](std::size_t, bool fails) noexcept { note(allocation, fails); });
    SystemFaults::observer = [](SystemCall call, bool fails) noexcept { note(static_cast<std::uint8_t>(call), fails); };
  }
  static void stop() noexcept {
    observe_allocations(nullptr);
    SystemFaults::observer = nullptr;
  }

 private:
  static constexpr std::uint8_t allocation = 255;
  static constexpr std::size_t depth = 24;
  static constexpr std::size_t most = 16384;

  struct Stack {
    std::atomic<std::uint64_t> hash{0};  // 0: empty
    std::atomic<bool> failed{false};
    std::atomic<int> size{0};
    std::uint8_t what = 0;
    std::array<void*, depth> addresses{};
  };

  static bool is_wanted() noexcept { return std::getenv("ASSAY_FAULT_SITES") != nullptr; }

  // Made at the first use, and written out at the end of the process that made it.
  static std::array<Stack, most>& table() noexcept {
    static std::array<Stack, most>* const made = [] {
      void* const memory = ::mmap(nullptr, sizeof(std::array<Stack, most>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) std::abort();
      std::array<void*, 4> warm{};
      ::backtrace(warm.data(), static_cast<int>(warm.size()));  // loads the unwinder
      std::atexit(write);
      return new (memory) std::array<Stack, most>;
    }();
    return *made;
  }

  static void note(std::uint8_t what, bool failed) noexcept {
    const int error = errno;
    std::array<void*, depth> addresses{};
    const int size = ::backtrace(addresses.data(), static_cast<int>(addresses.size()));
    std::uint64_t hash = 14695981039346656037U + what;
    for (int at = 0; at < size; ++at) {
      hash ^= reinterpret_cast<std::uintptr_t>(addresses.at(static_cast<std::size_t>(at)));
      static_cast<void>(__builtin_mul_overflow(hash, std::uint64_t{1099511628211U}, &hash));
    }
    hash |= 1;
    for (std::size_t probe = 0; probe < most; ++probe) {
      Stack& stack = table().at((hash / 2 + probe) % most);
      std::uint64_t expected = 0;
      const bool is_new = stack.hash.compare_exchange_strong(expected, hash);
      if (!is_new && expected != hash) continue;
      if (is_new) {
        stack.what = what;
        stack.addresses = addresses;
        stack.size = size;
      }
      if (failed) stack.failed = true;
      break;
    }
    errno = error;
  }

  static void write() noexcept {
    const char* const path = std::getenv("ASSAY_FAULT_SITES");
    std::FILE* const file = path != nullptr ? std::fopen(path, "w") : nullptr;
    if (file == nullptr) return;
    Dl_info self{};
    ::dladdr(reinterpret_cast<const void*>(&FaultSites::write), &self);
    for (const Stack& stack : table()) {
      const int size = stack.size;
      if (stack.hash == 0 || size == 0) continue;
      std::fprintf(file, "%s %s", stack.what == allocation ? "allocation" : name_of(static_cast<SystemCall>(stack.what)),
                   stack.failed ? "failed" : "reached");
      for (int at = 0; at < size; ++at) {
        Dl_info where{};
        void* const address = stack.addresses.at(static_cast<std::size_t>(at));
        if (::dladdr(address, &where) == 0 || where.dli_fbase != self.dli_fbase) continue;
        // The call, not what it returns to.
        std::fprintf(file, " %zx", reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(self.dli_fbase) - 1);
      }
      std::fprintf(file, "\n");
    }
    std::fclose(file);
  }
};

}  // namespace assay::testkit
