// A send that nobody awaits sends nothing.
// expect: ignoring return
#include "assay/assay.hpp"

using namespace assay;

Async<bool> sent(Sender<int>& sender) { co_return co_await sender.send(6); }

#ifdef ASSAY_FAIL
void not_sent(Sender<int>& sender) { sender.send(6); }
#endif
