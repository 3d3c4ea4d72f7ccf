// A reference into a Pinned must not outlive it.
// expect: reference to stack memory associated with local variable '.*' returned
// compiler: clang
#include <utility>

#include "assay/assay.hpp"

using namespace assay;

int& inside(Pinned<int>& pinned) { return pinned.get(); }

#ifdef ASSAY_FAIL
int& escapes() {
  Pinned<int> pinned(std::in_place, 6);
  return pinned.get();
}
#endif
