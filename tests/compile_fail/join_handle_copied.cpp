// A task's outcome has one owner.
// expect: (call to implicitly-deleted copy constructor|use of deleted function).*JoinHandle
#include "assay/assay.hpp"

using namespace assay;

JoinHandle<int> moved(JoinHandle<int> handle) { return handle; }

#ifdef ASSAY_FAIL
JoinHandle<int> copied(const JoinHandle<int>& handle) { return handle; }
#endif
