// A sleep_until that nobody awaits does not wait.
// expect: ignoring return
#include "assay/assay.hpp"

using namespace assay;

Async<void> waits() { co_await sleep_until(Instant()); }

#ifdef ASSAY_FAIL
Async<void> does_not_wait() {
  sleep_until(Instant());
  co_return;
}
#endif
