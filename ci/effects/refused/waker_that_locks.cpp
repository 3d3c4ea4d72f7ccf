// refused: must not call non-'nonblocking' function 'std::mutex::lock'
// A waker that promises, and takes a mutex.
#include <mutex>

#include "assay/assay.hpp"

namespace {
std::mutex mutex;
int woken = 0;

void wake(void*) noexcept ASSAY_NONBLOCKING {
  mutex.lock();
  ++woken;
  mutex.unlock();
}
assay::RawWaker clone(void*) noexcept ASSAY_NONBLOCKING;
void drop(void*) noexcept ASSAY_NONBLOCKING;
}  // namespace

extern const assay::RawWakerVTable table;
const assay::RawWakerVTable table{clone, wake, wake, drop};
