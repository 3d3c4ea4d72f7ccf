// A future says what it yields.
// expect: no matching (member )?function
#include "assay/assay.hpp"

using namespace assay;

struct Good {
  using Output = int;
  Poll<int> poll(Context&) { return Ready(6); }
};
int blocked(Executor& executor) { return executor.block_on(Good()); }

#ifdef ASSAY_FAIL
struct Bad {
  Poll<int> poll(Context&) { return Ready(6); }
};
int blocked_on_bad(Executor& executor) { return executor.block_on(Bad()); }
#endif
