// expect: unsafe-library-call
// A timer fires as real-time code, and its waker takes a mutex.
#include <mutex>

#include "assay/assay.hpp"
#include "assay_testkit/realtime.hpp"

int main() {
  std::mutex mutex;
  int woken = 0;
  const assay::Waker waker = assay::function_waker([&] {
    const std::scoped_lock held(mutex);
    ++woken;
  });
  assay::TimerQueue timers;
  assay::Timer timer;
  timers.arm(timer, assay::Instant::min(), waker);
  assay::testkit::in_real_time([&] { timers.fire(assay::Instant::max()); });
  return woken;
}
