// expect: unsafe-library-call
// A spawn as real-time code, where the executor has no slot ready: growth is reported to who said that it must not happen.
#include "assay/assay.hpp"
#include "assay_testkit/realtime.hpp"

int main() {
  assay::Executor executor;
  assay::testkit::in_real_time([&] { executor.spawn(assay::yield_now()).detach(); });
}
