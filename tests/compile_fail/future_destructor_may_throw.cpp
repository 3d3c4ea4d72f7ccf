// Destroying a future is cancelling it: that cannot fail.
// expect: is_nothrow_destructible_v|no matching (member )?function
#include "assay/assay.hpp"

using namespace assay;

struct Good {
  using Output = int;
  Poll<int> poll(Context&) { return Ready(6); }
};
int blocked(Executor& executor) { return executor.block_on(Good()); }

#ifdef ASSAY_FAIL
struct Bad : Good {
  ~Bad() noexcept(false) {}
};
int blocked_on_bad(Executor& executor) { return executor.block_on(Bad()); }
#endif
