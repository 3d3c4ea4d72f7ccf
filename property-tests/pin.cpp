#include "stateful.hpp"

#include "assay_testkit/models/pin.hpp"

TEST_CASE("pinned cells lend and share as counted", "[property]") {
  assay::properties::check_against_model<assay::testkit::PinModel, assay::testkit::PinSystem>("any sequence of steps agrees with the model");
}
