// The result of a poll is never to be dropped.
// expect: ignoring return
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

struct Six {
  using Output = int;
  Poll<int> poll(Context&) { return Ready(6); }
};
int polled(Context& context) {
  Six six;
  Poll<int> result = six.poll(context);
  return std::move(result).take();
}

#ifdef ASSAY_FAIL
void ignored(Context& context) {
  Six six;
  six.poll(context);
}
#endif
