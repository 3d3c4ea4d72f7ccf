// Purpose: the no-op waker's table. See raw_waker.hpp.
// Thread rules: any thread; the table is constant.
// Invariants:
//  (1) One table in the program, so that any two no-op wakers compare equal.
#include "assay/audited/raw_waker.hpp"

namespace assay::audited {

namespace {

// SAFETY(W4): the data pointer is null and never used.
RawWaker noop_clone(void*) noexcept { return noop_raw_waker(); }
// SAFETY(W4): the data pointer is null and never used.
void noop(void*) noexcept {}

constexpr RawWakerVTable noop_vtable{noop_clone, noop, noop, noop};

}  // namespace

RawWaker noop_raw_waker() noexcept { return RawWaker{nullptr, &noop_vtable}; }

}  // namespace assay::audited
