// Purpose: tells AddressSanitizer, MemorySanitizer and Valgrind which recycled bytes nobody may touch, so that
//   recycling hides no bug from them. Expands to nothing in ordinary builds.
// Thread rules: the caller owns the bytes.
// Invariants:
//  (1) Memory handed back to the system allocator is always unpoisoned first.
//  (2) A block handed out is addressable and uninitialised.
#pragma once

#include <cstddef>

#include "assay/base/attributes.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define ASSAY_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASSAY_WITH_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define ASSAY_WITH_MSAN 1
#endif
#endif

#if defined(ASSAY_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#endif
#if defined(ASSAY_WITH_MSAN)
#include <sanitizer/msan_interface.h>
#endif
#if defined(ASSAY_VALGRIND)
#include <valgrind/memcheck.h>
#endif

namespace assay::audited {

// Nobody may read or write these bytes until unpoison().
// SAFETY(M1): the caller owns the bytes, and the life of what was in them is over. Changes shadow memory only.
ASSAY_UNSAFE inline void poison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t size) noexcept {
#if defined(ASSAY_WITH_ASAN)
  ASAN_POISON_MEMORY_REGION(bytes, size);
#endif
#if defined(ASSAY_WITH_MSAN)
  __msan_poison(bytes, size);
#endif
#if defined(ASSAY_VALGRIND)
  static_cast<void>(VALGRIND_MAKE_MEM_NOACCESS(bytes, size));
#endif
}

// The bytes are a fresh block: addressable, contents undefined.
// SAFETY(M2): the caller owns the bytes, and nothing lives in them. Changes shadow memory only.
ASSAY_UNSAFE inline void unpoison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t size) noexcept {
#if defined(ASSAY_WITH_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(bytes, size);
#endif
#if defined(ASSAY_WITH_MSAN)
  __msan_poison(bytes, size);
#endif
#if defined(ASSAY_VALGRIND)
  static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(bytes, size));
#endif
}

}  // namespace assay::audited
