#include "stateful.hpp"

#include "assay_testkit/models/timer_queue.hpp"

TEST_CASE("timers fire by deadline, then in the order of arming", "[property]") {
  using namespace assay::testkit;
  assay::properties::check_against_model<TimerModel, TimerSystem>("any sequence of steps agrees with the model");
}
