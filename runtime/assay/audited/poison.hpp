// Purpose: tells AddressSanitizer, MemorySanitizer and Valgrind which recycled bytes nobody may touch, so that
//   recycling hides no bug from them, and TypeSanitizer where an object of another type begins. Expands to nothing in
//   ordinary builds.
// Thread rules: the caller owns the bytes.
// Invariants:
//  (1) Memory handed back to the system allocator is always unpoisoned first.
//  (2) A block handed out is addressable and uninitialised.
#pragma once

#include <cstddef>

#include "assay/base/attributes.hpp"
#include "assay/base/tools.hpp"

#if defined(ASSAY_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#endif
#if defined(ASSAY_WITH_MSAN)
#include <sanitizer/msan_interface.h>
#endif
#if defined(ASSAY_VALGRIND)
#include <valgrind/memcheck.h>
#endif

// SAFETY(M2): TypeSanitizer's, which has no header; declared only, where it is not there.
extern "C" void tysan_set_type_unknown(const void* bytes, std::size_t size);

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

// An object is about to begin its life in these bytes, perhaps of another type than the last: placement new does not say so.
// SAFETY(M2): the caller owns the bytes, and nothing lives in them. Changes shadow memory only.
ASSAY_UNSAFE inline void reuse([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t size) noexcept {
#if defined(ASSAY_WITH_TYSAN)
  tysan_set_type_unknown(bytes, size);
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
  reuse(bytes, size);
}

}  // namespace assay::audited
