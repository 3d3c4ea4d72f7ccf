// A Context lives for one poll: it cannot be copied.
// expect: call to deleted constructor of .*Context|use of deleted function .*assay::Context
#include "assay/assay.hpp"

using namespace assay;

Executor* borrowed(Context& context) { return context.executor(); }

#ifdef ASSAY_FAIL
Context copied(Context& context) { return context; }
#endif
