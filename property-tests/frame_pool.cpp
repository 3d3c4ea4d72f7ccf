#include "stateful.hpp"

#include "assay_testkit/models/frame_pool.hpp"

TEST_CASE("the frame pool hands out distinct blocks", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<FramePoolModel, FramePoolSystem>("any sequence of steps agrees with the model");
}
