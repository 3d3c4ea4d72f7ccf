// What is Pinned stays where it is.
// expect: (call to deleted constructor|use of deleted function).*Pinned
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

int used() {
  Pinned<int> pinned(std::in_place, 6);
  return *pinned;
}

#ifdef ASSAY_FAIL
void moved() {
  Pinned<int> pinned(std::in_place, 6);
  Pinned<int> other = std::move(pinned);
}
#endif
