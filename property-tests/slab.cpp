#include "stateful.hpp"

#include "assay_testkit/models/slab.hpp"

TEST_CASE("a slab hands out distinct slots with distinct generations", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<SlabModel, SlabSystem>("any sequence of steps agrees with the model");
}
