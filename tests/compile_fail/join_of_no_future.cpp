// join takes futures.
// expect: no matching function
#include "assay/assay.hpp"

using namespace assay;

auto one() { return join(yield_now()); }

#ifdef ASSAY_FAIL
auto number() { return join(6); }
#endif
