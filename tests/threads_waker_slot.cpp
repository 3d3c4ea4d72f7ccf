// Shows that a threads::WakerSlot wakes what was kept last, once, and gives it back to who takes it.
#include <utility>

#include "assay/threads.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("a waker slot wakes what was kept last, once", "[threads][slot]") {
  testkit::CountingWaker first;
  testkit::CountingWaker second;
  {
    threads::WakerSlot slot;
    slot.wake();
    slot.keep(first.waker());
    CHECK(first.wakes() == 0);
    slot.keep(second.waker());
    CHECK(first.drops() == first.clones() + 1);  // with the one that was given away
    slot.wake();
    CHECK(second.wakes() == 1);
    slot.wake();
    CHECK(second.wakes() == 1);
    slot.keep(first.waker());
    const Waker taken = slot.take();
    slot.wake();
    CHECK(first.wakes() == 0);
    CHECK_FALSE(taken.is_noop());
    taken.wake_by_ref();
    CHECK(first.wakes() == 1);
    slot.keep(second.waker());
  }
  CHECK(second.wakes() == 1);
}
