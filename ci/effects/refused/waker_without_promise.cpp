// refused: attribute 'nonblocking' should not be added via type conversion
// A waker whose function promises nothing, in a table that promises all its functions.
#include "assay/assay.hpp"

namespace {
void wake(void*) noexcept;
assay::RawWaker clone(void*) noexcept ASSAY_NONBLOCKING;
void drop(void*) noexcept ASSAY_NONBLOCKING;
}  // namespace

extern const assay::RawWakerVTable table;
const assay::RawWakerVTable table{clone, wake, drop, drop};
