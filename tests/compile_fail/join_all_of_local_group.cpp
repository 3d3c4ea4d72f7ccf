// A TaskGroup must outlive the future that joins it.
// expect: address of stack memory associated with local variable 'group' returned
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

TaskGroup::JoinAll of_the_callers(TaskGroup& group) { return group.join_all(); }

#ifdef ASSAY_FAIL
TaskGroup::JoinAll of_a_local(Executor& executor) {
  TaskGroup group(executor);
  return group.join_all();
}
#endif
