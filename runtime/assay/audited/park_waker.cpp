// Purpose: the waker table of a Parker. See park_waker.hpp.
// Thread rules: any thread.
// Invariants:
//  (1) `data` is a Parker* with a reference that the waker owns.
#include "assay/audited/park_waker.hpp"

namespace assay::audited {

namespace {

// SAFETY(K1): the table is used only with the Parker* that waker() and clone() put into RawWaker::data.
Parker& parker_of(void* data) noexcept { return *static_cast<Parker*>(data); }

extern const RawWakerVTable parker_vtable;

void release(Parker& parker) noexcept {
  // SAFETY(K2): allocated by ParkerRef with new; the last reference is ours, so it is freed once.
  if (parker.release()) delete &parker;
}

// SAFETY(K1): see parker_of; the reference that the caller holds keeps the Parker.
RawWaker clone(void* data) noexcept {
  parker_of(data).retain();
  return RawWaker{data, &parker_vtable};
}
// SAFETY(K1): see parker_of.
void wake_by_ref(void* data) noexcept { parker_of(data).unpark(); }
// SAFETY(K1): see parker_of.
void drop(void* data) noexcept { release(parker_of(data)); }
// SAFETY(K1): see parker_of; unpark comes first, while our reference keeps the Parker.
void wake(void* data) noexcept {
  parker_of(data).unpark();
  release(parker_of(data));
}

constexpr RawWakerVTable parker_vtable{clone, wake, wake_by_ref, drop};

}  // namespace

// SAFETY(K2): owned by this ParkerRef: one reference from construction on.
ParkerRef::ParkerRef() : parker_(new Parker) {}

ParkerRef::~ParkerRef() { release(*parker_); }

Waker ParkerRef::waker() const noexcept {
  parker_->retain();
  // SAFETY(K1): the table belongs to a Parker, and the reference was added in the line above.
  return Waker::from_raw(RawWaker{parker_, &parker_vtable});
}

}  // namespace assay::audited
