// A reference from a borrow must not outlive the borrow.
// expect: temporary.*destroyed at the end of the full-expression
// compiler: clang
#include "assay/assay.hpp"

using namespace assay;

int in_one_expression(PinCell<int>& cell) {
  const int copied = *cell.borrow();
  return copied;
}
int while_borrowed(PinCell<int>& cell) {
  auto writer = cell.borrow_mut();
  int& inside = *writer;
  return ++inside;
}

#ifdef ASSAY_FAIL
int after_the_borrow(PinCell<int>& cell) {
  int& inside = *cell.borrow_mut();
  return ++inside;
}
#endif
