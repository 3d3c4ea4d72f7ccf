#include "stateful.hpp"

#include "assay_testkit/models/pin.hpp"

TEST_CASE("pinned cells lend and share as counted", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<PinModel, PinSystem>("any sequence of steps agrees with the model");
}
