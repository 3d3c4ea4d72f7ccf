// Purpose: the promise that a function neither blocks nor allocates, in a form that tools check: clang 22's function effects when
//   it compiles (ci/checks/effects), RealtimeSanitizer when it runs (sanitizer-scripts/rtsan).
//
//   void wake() noexcept ASSAY_NONBLOCKING;   whatever happens. All that it calls is held to it, by inference or by a mark.
//   ASSAY_RUNS_OTHERS bool poll() noexcept ASSAY_NONBLOCKING;
//                                  the same, but for what stands in ASSAY_UNCHECKED; or it may throw
//   ASSAY_UNCHECKED(expression)    what clang cannot see through: code of the user's, growth, the end of things, and calls into
//                                  a library that promises nothing
//
// RealtimeSanitizer watches all that runs inside a function of the first kind, and inside a user's own that is marked so: there
// it reports also what stands in ASSAY_UNCHECKED. Nothing is hidden from it but the write of last words (system.cpp).
// Thread rules: none.
// Invariants:
//  (1) Every macro here may expand to nothing, or to its argument: no behaviour hangs on it.
//  (2) ASSAY_RUNS_OTHERS stands on each function that may throw, of which RealtimeSanitizer would not see the end, and on each
//      that may run code which blocks or allocates.
#pragma once

#include "assay/base/attributes.hpp"

#if defined(__clang_major__) && __clang_major__ >= 20  // 19 knows the attribute, and checks nothing

#define ASSAY_NONBLOCKING [[clang::nonblocking]]
// SAFETY(E1): takes no report away: only that the function itself does not begin to be watched, as nothing does by default.
#define ASSAY_RUNS_OTHERS __attribute__((no_sanitize("realtime")))
#define ASSAY_UNCHECKED(...) (::assay::audited::unchecked([&]() -> decltype((__VA_ARGS__)) { return __VA_ARGS__; }))

#if __has_feature(realtime_sanitizer)
#include <sanitizer/rtsan_interface.h>
#define ASSAY_WITH_RTSAN 1
#endif

namespace assay::audited {

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wfunction-effects"
// A promise without proof. No memory access hangs on it.
template <class Callable>
ASSAY_HOT ASSAY_RUNS_OTHERS decltype(auto) unchecked(Callable&& callable) ASSAY_NONBLOCKING {
  return callable();
}
#pragma clang diagnostic pop

}  // namespace assay::audited

#else
#define ASSAY_NONBLOCKING
#define ASSAY_RUNS_OTHERS
#define ASSAY_UNCHECKED(...) (__VA_ARGS__)
#endif
