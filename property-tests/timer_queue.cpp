#include "stateful.hpp"

#include "assay_testkit/models/timer_queue.hpp"

TEST_CASE("timers fire by deadline, then in the order of arming", "[property]") {
  assay::properties::check_against_model<assay::testkit::TimerModel, assay::testkit::TimerSystem>("any sequence of steps agrees with the model");
}
