// Part of every program that is built for coverage. Counters are written when a program ends by exit(); the children in which tests
// see an abort end by abort() or _exit(), and what they counted would be lost. Here both write it first.
#include <dlfcn.h>

#include <cstdlib>

extern "C" int __llvm_profile_write_file(void);

namespace {

// The function of this name that the program would have without us.
template <class Function>
Function* next(const char* name) noexcept {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void write_counters() noexcept {
  static thread_local bool is_writing = false;
  if (is_writing) return;  // writing them has failed in an abort of its own
  is_writing = true;
  static_cast<void>(__llvm_profile_write_file());
  is_writing = false;
}

}  // namespace

extern "C" {

void abort() noexcept {
  write_counters();
  next<void()>("abort")();
  __builtin_unreachable();
}

void _exit(int status) {
  write_counters();
  next<void(int)>("_exit")(status);
  __builtin_unreachable();
}
}
