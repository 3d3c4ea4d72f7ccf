// Included before everything in the copy of the tree that mutants/automatic builds. Each place that may be mutated asks
// assay_mutant(its number); the environment says which one number is the mutant of this process:
//   ASSAY_MUTANT=17                 site 17 behaves wrongly; without it none does
//   ASSAY_MUTANT_REACHED=file       each site that is asked sets its byte in this file, also in children and before an abort
// Constant evaluation never sees a mutant.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

namespace assay_mutation {

inline constexpr int most = 1 << 14;
inline unsigned char nowhere[most] = {};
inline unsigned char* reached = nowhere;
inline int chosen = -1;
inline bool started = false;

// Before any constructor of a global; allocates nothing, and leaves no descriptor behind.
[[gnu::constructor(101)]] inline void start() {
  if (started) return;
  started = true;
  if (const char* const text = ::getenv("ASSAY_MUTANT")) chosen = ::atoi(text);
  if (const char* const file = ::getenv("ASSAY_MUTANT_REACHED")) {
    const int fd = ::open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ::ftruncate(fd, most) != 0) ::abort();
    void* const place = ::mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED) ::abort();
    ::close(fd);
    reached = static_cast<unsigned char*>(place);
  }
}

template <class T>
T keep(T& value) {  // what std::exchange gives, without the exchange
  return value;
}

}  // namespace assay_mutation

constexpr bool assay_mutant(int number) noexcept {
  if (__builtin_is_constant_evaluated()) return false;
  __atomic_store_n(&assay_mutation::reached[number], 1, __ATOMIC_RELAXED);
  return assay_mutation::chosen == number;
}

// A memory order that may be one step weaker: 0 relaxed, 1 acquire, 2 release, 3 acq_rel.
struct AssayOrder {
  int order;
};
inline AssayOrder assay_order(int order, int first, int first_weaker, int second = -1, int second_weaker = 0) noexcept {
  int used = order;
  if (first >= 0 && assay_mutant(first)) used = first_weaker;
  if (second >= 0 && assay_mutant(second)) used = second_weaker;
  return {used};
}
