// The value of a poll is taken once: the poll must be given up for it.
// expect: function has rvalue ref-qualifier|passing .* as 'this' argument|discards qualifiers
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

int taken(Poll<int> result) { return std::move(result).take(); }

#ifdef ASSAY_FAIL
int taken_perhaps_twice(Poll<int>& result) { return result.take(); }
#endif
