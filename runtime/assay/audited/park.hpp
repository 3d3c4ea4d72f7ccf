// Purpose: blocks one thread until somebody unparks it. Each Parker has a token of its own: nobody else's park, condition
//   variable or semaphore can eat the wake, and a wake that comes first is not lost.
// Thread rules: park() by one thread at a time; unpark, retain and release from any thread.
// Invariants:
//  (1) unpark() leaves the token set until a park() takes it: an unpark is never lost, several coalesce.
//  (2) The token changes under the mutex only, and park() tests it before it waits and after each wake.
//  (3) The Parker lives while references > 0; it is on the heap, so a waker may outlive the call that made it.
#pragma once

#include <cstdint>

#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"
#include "assay/audited/raw_waker.hpp"
#include "assay/audited/sync.hpp"

namespace assay::audited {

class Parker {
 public:
  Parker() noexcept = default;
  Parker(const Parker&) = delete;
  Parker& operator=(const Parker&) = delete;

  // Blocks until the token is set, and takes it.
  void park() {
    const sync::Lock lock(mutex_);
    while (!token_) unparked_.wait(mutex_);
    token_ = false;
  }

  // Takes the token if it is set. Never blocks for longer than an unpark().
  bool try_park() {
    const sync::Lock lock(mutex_);
    const bool was_set = token_;
    token_ = false;
    return was_set;
  }

  // Sets the token. Notifies under the mutex: the parked thread cannot free the Parker before we are done with it.
  void unpark() {
    const sync::Lock lock(mutex_);
    token_ = true;
    unparked_.notify_one();
  }

  // Relaxed: whoever adds a reference holds one.
  void retain() noexcept {
    const std::uint64_t old = references_.fetch_add_relaxed(1);
    ASSAY_CHECK(old < max_references, "too many Wakers of one run() are alive");
  }

  // True: that was the last reference, and the caller must free the Parker. acq_rel: all use happens before the free.
  bool release() noexcept {
    const std::uint64_t old = references_.fetch_sub_acq_rel(1);
    ASSAY_CHECK(old > 0, "internal: a Parker was released twice");
    return old == 1;
  }

 private:
  static constexpr std::uint64_t max_references = std::uint64_t{1} << 62;

  sync::Mutex mutex_;
  sync::Condition unparked_;
  bool token_ ASSAY_GUARDED_BY(mutex_) = false;
  sync::Atomic<std::uint64_t> references_{1};
};

}  // namespace assay::audited
