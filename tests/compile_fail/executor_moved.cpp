// An Executor stays where it is: its tasks refer to it.
// expect: (call to deleted constructor|use of deleted function).*Executor
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

void kept() { Executor executor; }

#ifdef ASSAY_FAIL
void moved() {
  Executor executor;
  Executor other = std::move(executor);
}
#endif
