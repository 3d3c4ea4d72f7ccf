// A select of no future would never be Ready.
// expect: no matching function
#include "assay/assay.hpp"

using namespace assay;

auto one(Executor&) { return select(yield_now()); }

#ifdef ASSAY_FAIL
auto none() { return select(); }
#endif
