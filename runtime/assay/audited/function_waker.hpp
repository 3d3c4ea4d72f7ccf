// Purpose: a Waker that calls a function: to park a thread, to embed a future in a foreign loop, and for tests.
// Thread rules: as the callable's: it is called from whatever thread wakes, possibly several at once, and destroyed on
//   whichever drops the last Waker.
// Invariants:
//  (1) The block lives while references > 0; each Waker owns one reference. The callable must not throw.
#pragma once

#include <cstdint>
#include <utility>

#include "assay/audited/effects.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/audited/sync.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

template <class Callable>
class FunctionWaker {
 public:
  // A waker, and the callable that it keeps alive. One allocation.
  struct Made {
    Waker waker;
    Callable& callable;
  };

  // SAFETY(W8): the block is owned by its references: the first is the Waker's, drop() deletes it with the last. The table
  // belongs to FunctionWaker<Callable>.
  template <class... Args>
  static Made make(Args&&... args) {
    auto* const block = new FunctionWaker(std::forward<Args>(args)...);
    return Made{Waker::from_raw(RawWaker{block, &table}), block->callable_};
  }

 private:
  template <class... Args>
  explicit FunctionWaker(Args&&... args) : callable_(std::forward<Args>(args)...) {}

  // SAFETY(W8): this table is used only with the data that make() and clone() put beside it.
  static FunctionWaker& self(void* data) noexcept { return *static_cast<FunctionWaker*>(data); }

  // SAFETY(W8): `data` is a block of ours (self). Relaxed: whoever clones holds a reference, so that the count is not 0.
  static RawWaker clone(void* data) noexcept ASSAY_NONBLOCKING {
    const std::uint64_t old = self(data).references_.fetch_add_relaxed(1);
    ASSAY_CHECK(old < std::uint64_t{1} << 62, "too many copies of one function waker are alive");
    return RawWaker{data, &table};
  }
  // SAFETY(W8): `data` is a block of ours (self), which the reference that the caller holds keeps.
  ASSAY_RUNS_OTHERS static void wake_by_ref(void* data) noexcept ASSAY_NONBLOCKING { ASSAY_UNCHECKED(self(data).callable_()); }
  // SAFETY(W8): `data` is a block of ours (self). acq_rel: every use happens before the delete, which comes with the last reference.
  ASSAY_RUNS_OTHERS static void drop(void* data) noexcept ASSAY_NONBLOCKING {
    const std::uint64_t old = self(data).references_.fetch_sub_acq_rel(1);
    ASSAY_CHECK(old > 0, "internal: a function waker was dropped twice");
    if (old == 1) ASSAY_UNCHECKED(delete &self(data));
  }
  // SAFETY(W8): `data` is a block of ours (self); the call comes first, while our reference keeps the block.
  ASSAY_RUNS_OTHERS static void wake(void* data) noexcept ASSAY_NONBLOCKING {
    wake_by_ref(data);
    drop(data);
  }

  static constexpr RawWakerVTable table{clone, wake, wake_by_ref, drop};

  sync::Atomic<std::uint64_t> references_{1};
  Callable callable_;
};

}  // namespace assay::audited
