// WakerSlot: a place for one waker, between a future and whatever other thread knows when it can go on.
//
//   Poll<int> poll(Context& context) {                  void on_another_thread() {
//     slot.keep(context.waker());  // first ...           result = 42;         // first ...
//     if (has_result()) return Ready(result);             set_has_result();
//     return Pending;              // ... then look       slot.wake();         // ... then wake
//   }                                                   }
#pragma once

#include <utility>

#include "assay/audited/raw_waker.hpp"
#include "assay/audited/sync.hpp"
#include "assay/base/attributes.hpp"

namespace assay::threads {

// Any thread; not a signal handler, where a Waker of a task is to be used itself. A keep() and a wake() come one after the
// other: if the wake comes later it finds the waker, and else the thread that keeps sees, once keep() returns, all that the other
// one did before its wake(). So no wake is lost by who keeps first and looks then. Wakers are copied, woken and dropped with no
// lock held.
class WakerSlot {
 public:
  WakerSlot() = default;
  WakerSlot(const WakerSlot&) = delete;
  WakerSlot& operator=(const WakerSlot&) = delete;

  // The next wake() wakes a copy of `waker`, and not the one that was kept before.
  void keep(const Waker& waker) noexcept {
    Waker kept = waker;
    const audited::sync::Lock lock(mutex_);
    std::swap(kept, waker_);
  }

  // Wakes what was kept, if anything, once.
  void wake() noexcept { take().wake(); }

  // Takes out what was kept, to be woken or dropped elsewhere; the no-op waker if there is nothing.
  Waker take() noexcept {
    Waker taken;
    const audited::sync::Lock lock(mutex_);
    std::swap(taken, waker_);
    return taken;
  }

 private:
  audited::sync::Mutex mutex_;
  Waker waker_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::threads
