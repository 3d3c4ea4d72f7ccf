// What a coroutine returns converts to what it says.
// expect: return_value|no viable conversion|cannot convert
#include "assay/assay.hpp"

using namespace assay;

Async<int> returns_a_number() { co_return 6; }

#ifdef ASSAY_FAIL
Async<int> returns_text() { co_return "six"; }
#endif
