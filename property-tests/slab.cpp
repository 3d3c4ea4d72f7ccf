#include "stateful.hpp"

#include "assay_testkit/models/slab.hpp"

TEST_CASE("a slab hands out distinct slots with distinct generations", "[property]") {
  assay::properties::check_against_model<assay::testkit::SlabModel, assay::testkit::SlabSystem>("any sequence of steps agrees with the model");
}
