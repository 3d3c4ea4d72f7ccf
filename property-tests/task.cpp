#include "stateful.hpp"

#include "assay_testkit/models/task.hpp"

TEST_CASE("tasks and wakers live as the model says", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<TaskModel, TaskSystem>("any sequence of steps agrees with the model");
}
