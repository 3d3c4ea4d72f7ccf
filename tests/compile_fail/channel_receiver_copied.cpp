// A channel has one receiver.
// expect: (call to implicitly-deleted copy constructor|use of deleted function|call to deleted constructor).*Receiver
#include "assay/assay.hpp"

using namespace assay;

Sender<int> copied_sender(const Sender<int>& sender) { return sender; }

#ifdef ASSAY_FAIL
Receiver<int> copied(const Receiver<int>& receiver) { return receiver; }
#endif
