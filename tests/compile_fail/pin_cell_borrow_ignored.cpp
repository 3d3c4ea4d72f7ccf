// A borrow that is dropped at once protects nothing.
// expect: ignoring return|unused result|nodiscard
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

int used() {
  PinCell<int> cell(std::in_place, 6);
  return *cell.borrow_mut();
}

#ifdef ASSAY_FAIL
void ignored() {
  PinCell<int> cell(std::in_place, 6);
  cell.borrow_mut();
}
#endif
