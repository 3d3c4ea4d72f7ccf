// A LocalWaker stays on its thread: it does not become a Waker.
// expect: no viable conversion|conversion from .* to non-scalar type|could not convert
#include "assay/assay.hpp"

using namespace assay;

LocalWaker to_local(const Waker& waker) { return waker; }

#ifdef ASSAY_FAIL
Waker to_any_thread(const LocalWaker& waker) { return waker; }
#endif
