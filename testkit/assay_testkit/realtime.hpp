// Runs a part of a program as real-time code: RealtimeSanitizer ends the program at whatever blocks or allocates in it. Elsewhere
// it is only a call.
#pragma once

#include "assay/audited/effects.hpp"

namespace assay::testkit {

// The callable must not throw: the sanitizer would take all that comes after for real-time code.
template <class Callable>
void in_real_time(Callable&& callable) noexcept ASSAY_NONBLOCKING {
  ASSAY_UNCHECKED(callable());
}

}  // namespace assay::testkit
