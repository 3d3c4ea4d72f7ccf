// Purpose: which tool watches this build.
// Thread rules: none, these are macros.
// Invariants:
//  (1) A macro is 1 where its tool is there, and undefined elsewhere.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define ASSAY_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASSAY_WITH_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define ASSAY_WITH_MSAN 1
#endif
#if __has_feature(type_sanitizer)
#define ASSAY_WITH_TYSAN 1
#endif
#endif
