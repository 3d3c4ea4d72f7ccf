// A sleep that nobody awaits does not wait.
// expect: ignoring return
#include <chrono>

#include "assay/assay.hpp"

using namespace assay;

Async<void> waits() { co_await sleep(std::chrono::seconds(1)); }

#ifdef ASSAY_FAIL
Async<void> does_not_wait() {
  sleep(std::chrono::seconds(1));
  co_return;
}
#endif
