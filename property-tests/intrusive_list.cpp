#include "stateful.hpp"

#include "assay_testkit/models/intrusive_list.hpp"

TEST_CASE("intrusive lists behave like sequences", "[property]") {
  assay::properties::check_against_model<assay::testkit::ListModel, assay::testkit::ListSystem>("any sequence of steps agrees with the model");
}
