#include "stateful.hpp"

#include "assay_testkit/models/task.hpp"

TEST_CASE("tasks and wakers live as the model says", "[property]") {
  assay::properties::check_against_model<assay::testkit::TaskModel, assay::testkit::TaskSystem>("any sequence of steps agrees with the model");
}
