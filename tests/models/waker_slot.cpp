// locks only: no memory order of ours
// threads::WakerSlot: one thread keeps its waker and then looks whether there is something to do, others give it something to do
// and then wake. Nobody sleeps with something to do, also where a waker is replaced, or taken out and dropped.
#include "assay_testkit/model.hpp"

#include <utility>

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"
#include "assay/threads/waker_slot.hpp"

namespace {

using assay::Waker;
using assay::audited::FunctionWaker;
using assay::audited::Parker;
using assay::testkit::Model;
using assay::testkit::run_model;
namespace sync = assay::testkit::sync;

template <class Self, unsigned count = 2>
struct SlotModel : Model<Self, count> {
  assay::threads::WakerSlot slot;
  sync::Atomic<int> done{0};  // relaxed: what orders it is the slot

  void work() {
    done.fetch_add_relaxed(1);
    slot.wake();
  }
  // Sleeps until `wanted` is done.
  void wait(int wanted) {
    const auto [waker, parker] = FunctionWaker<Parker>::make();
    for (;;) {
      slot.keep(waker);
      if (done.load_relaxed() == wanted) return;
      parker.park();
    }
  }
};

struct Wake : SlotModel<Wake> {
  void thread(unsigned index) { index == 0 ? wait(1) : work(); }
};

struct TwoWakes : SlotModel<TwoWakes, 3> {
  void thread(unsigned index) { index == 0 ? wait(2) : work(); }
};

// It was kept with another waker before.
struct Replaced : SlotModel<Replaced> {
  void before() { slot.keep(FunctionWaker<Parker>::make().waker); }
  void thread(unsigned index) { index == 0 ? wait(1) : work(); }
};

// One that wants nothing any more takes its waker back: it is woken or dropped, once.
struct Taken : SlotModel<Taken> {
  void thread(unsigned index) {
    if (index == 1) return work();
    const auto [waker, parker] = FunctionWaker<Parker>::make();
    slot.keep(waker);
    if (slot.take().is_noop()) parker.park();  // it was taken out to be woken
  }
};

}  // namespace

MODEL_MAIN("waker_slot", [] {
  return run_model<Wake>("waker_slot_wake") + run_model<TwoWakes>("waker_slot_two_wakes", 3) +
         run_model<Replaced>("waker_slot_replaced") + run_model<Taken>("waker_slot_taken");
})
