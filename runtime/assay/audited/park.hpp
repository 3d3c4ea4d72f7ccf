// Purpose: blocks one thread until somebody unparks it. Each Parker has a token of its own: nobody else's park, condition
//   variable or semaphore can eat the wake, and a wake that comes first is not lost.
// Thread rules: park() by one thread at a time; unpark (the call operator, so that it serves as a waker) from any thread.
// Invariants:
//  (1) unpark() leaves the token set until a park() takes it: an unpark is never lost, several coalesce.
//  (2) The token changes under the mutex only, and park() tests it before it waits and after each wake.
//  (3) unpark() notifies under the mutex: it is done with the Parker before the thread that parked can go on.
#pragma once

#include "assay/audited/sync.hpp"
#include "assay/base/attributes.hpp"

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

  // Sets the token.
  void operator()() {
    const sync::Lock lock(mutex_);
    token_ = true;
    unparked_.notify_one();
  }

 private:
  sync::Mutex mutex_;
  sync::Condition unparked_;
  bool token_ ASSAY_GUARDED_BY(mutex_) = false;
};

}  // namespace assay::audited
