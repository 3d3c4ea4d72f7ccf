// refused: must not call non-'nonblocking' function 'assay::Async<int>::poll'
// A coroutine runs what its body says: that is no promise.
#include "assay/assay.hpp"

bool poll(assay::Async<int>& future, assay::Context& context) ASSAY_NONBLOCKING { return future.poll(context).is_ready(); }
