// Purpose: owns a Parker on the heap, and makes Wakers that unpark it.
// Thread rules: ParkerRef: the thread that made it. Its wakers: any thread.
// Invariants:
//  (1) The ParkerRef and every Waker own one reference each; the last of them frees the Parker.
#pragma once

#include "assay/audited/park.hpp"
#include "assay/audited/raw_waker.hpp"

namespace assay::audited {

class ParkerRef {
 public:
  ParkerRef();
  ~ParkerRef();
  ParkerRef(const ParkerRef&) = delete;
  ParkerRef& operator=(const ParkerRef&) = delete;

  Parker& operator*() const noexcept { return *parker_; }
  Parker* operator->() const noexcept { return parker_; }

  // A waker with a reference of its own.
  Waker waker() const noexcept;

 private:
  Parker* parker_;
};

}  // namespace assay::audited
