// A tick refers to its interval, which must be kept.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include <chrono>

#include "assay/assay.hpp"

using namespace assay;

Async<void> kept() {
  Interval each_second = interval(std::chrono::seconds(1));
  auto tick = each_second.tick();
  co_await tick;
}

#ifdef ASSAY_FAIL
Async<void> of_a_temporary() {
  auto tick = interval(std::chrono::seconds(1)).tick();
  co_await tick;
}
#endif
