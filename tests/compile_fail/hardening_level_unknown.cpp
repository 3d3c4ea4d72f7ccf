// A hardening level that does not exist.
// expect: ASSAY_HARDENING_LEVEL is 1 \(fast\), 2 \(extensive\) or 3 \(debug\)
#ifdef ASSAY_FAIL
#undef ASSAY_HARDENING_LEVEL
#define ASSAY_HARDENING_LEVEL 4
#endif
#include "assay/base/check.hpp"

int main() { ASSAY_CHECK(true, "never said"); }
