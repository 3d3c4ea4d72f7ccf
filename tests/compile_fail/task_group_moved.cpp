// A TaskGroup stays in its scope: its tasks refer to it.
// expect: (call to deleted constructor|use of deleted function).*TaskGroup
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

void kept(Executor& executor) { TaskGroup group(executor); }

#ifdef ASSAY_FAIL
void moved(Executor& executor) {
  TaskGroup group(executor);
  TaskGroup other = std::move(group);
}
#endif
