// A oneshot has one sender.
// expect: (call to implicitly-deleted copy constructor|use of deleted function|call to deleted constructor).*OneshotSender
#include "assay/assay.hpp"

using namespace assay;

OneshotSender<int> moved(OneshotSender<int> sender) { return sender; }

#ifdef ASSAY_FAIL
OneshotSender<int> copied(const OneshotSender<int>& sender) { return sender; }
#endif
