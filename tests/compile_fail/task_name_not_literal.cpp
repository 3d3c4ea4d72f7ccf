// A task's name is kept as a pointer: it must be a literal.
// expect: not a constant expression|is not usable in a constant expression
#include <string>

#include "assay/assay.hpp"

using namespace assay;

Async<int> six() { co_return 6; }
JoinHandle<int> literal(Executor& executor) { return executor.spawn("six", six()); }

#ifdef ASSAY_FAIL
JoinHandle<int> computed(Executor& executor, const std::string& name) { return executor.spawn(name.c_str(), six()); }
#endif
