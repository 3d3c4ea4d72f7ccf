// A permit is given back once.
// expect: (call to implicitly-deleted copy constructor|use of deleted function).*Permit
#include "assay/assay.hpp"

using namespace assay;

Semaphore::Permit moved(Semaphore::Permit permit) { return permit; }

#ifdef ASSAY_FAIL
Semaphore::Permit copied(const Semaphore::Permit& permit) { return permit; }
#endif
