// A PinCell is not copied: its borrows would be unknown to the copy.
// expect: (call to deleted constructor|use of deleted function).*PinCell
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

int used() {
  PinCell<int> cell(std::in_place, 6);
  return *cell.borrow();
}

#ifdef ASSAY_FAIL
void copied() {
  PinCell<int> cell(std::in_place, 6);
  PinCell<int> other = cell;
}
#endif
