// What a future yields is destroyed wherever it is not wanted, as by the end of a JoinHandle: that cannot fail.
// expect: the destructor of what a future yields must not throw
#include "assay/assay.hpp"

using namespace assay;

struct Good {};
int blocked(Executor& executor) {
  auto yields = []() -> Async<Good> { co_return Good(); };
  Good good = run(yields());
  executor.block_on(yields);
  static_cast<void>(good);
  return 0;
}

#ifdef ASSAY_FAIL
struct Bad {
  ~Bad() noexcept(false) {}
};
void blocked_on_bad() {
  auto yields = []() -> Async<Bad> { co_return Bad(); };
  run(yields());
}
#endif
