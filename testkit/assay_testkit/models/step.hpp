// What fuzz targets and properties have in common. A scenario is a list of Steps, run on a *model* and on the real thing:
//
//   Model    a small value that says what must be true. `names` names its operations; allows(step): whether the step is legal
//            now (what would abort is not); apply(step).
//   System   the same with the real classes. run(step, model): does it; compare(model): throws Mismatch where they differ, and
//            calls check_deep(). Both get the model as it is after the step.
//
// A model is made from one byte that chooses its options. After the System is destroyed, the Ledger must be empty.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace assay::testkit {

struct Step {
  std::uint8_t op = 0;
  std::uint8_t a = 0;
  std::uint8_t b = 0;
  std::uint8_t c = 0;
};

class Mismatch : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void expect(bool condition, const char* what) {
  if (!condition) throw Mismatch(what);
}

// The step with its operation brought into the model's range.
template <class Model>
Step normal(Step step) {
  step.op = static_cast<std::uint8_t>(step.op % Model::names.size());
  return step;
}

}  // namespace assay::testkit
