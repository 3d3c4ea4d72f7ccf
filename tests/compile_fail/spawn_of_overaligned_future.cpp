// A future whose alignment is more than what a task's slot has.
// expect: a future may be aligned to 64 bytes at most
#include "assay/assay.hpp"

#ifdef ASSAY_FAIL
#define ALIGNMENT 128
#else
#define ALIGNMENT 64
#endif

struct alignas(ALIGNMENT) Aligned {
  using Output = int;
  assay::Poll<int> poll(assay::Context&) { return assay::Ready(1); }
};

int main() {
  assay::Executor executor;
  executor.spawn_detached(Aligned());
}
