#include "stateful.hpp"

#include "assay_testkit/models/intrusive_list.hpp"

TEST_CASE("intrusive lists behave like sequences", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<ListModel, ListSystem>("any sequence of steps agrees with the model");
}
