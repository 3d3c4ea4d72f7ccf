#include "stateful.hpp"

#include "assay_testkit/models/frame_pool.hpp"

TEST_CASE("the frame pool hands out distinct blocks", "[property]") {
  assay::properties::check_against_model<assay::testkit::FramePoolModel, assay::testkit::FramePoolSystem>("any sequence of steps agrees with the model");
}
