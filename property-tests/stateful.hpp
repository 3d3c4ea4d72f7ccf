// Turns a model and a system (see assay_testkit/models/step.hpp) into a RapidCheck state machine.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>

#include <rapidcheck/catch.h>
#include <rapidcheck/state.h>

#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::properties {

// The steps of the case that runs: printed when the runtime aborts, which RapidCheck cannot shrink.
std::string& current_case();

// The whole range, at any size of the case.
inline std::uint8_t any_byte() { return *rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint8_t>()); }

template <class Model, class System>
class StepCommand final : public rc::state::Command<Model, System> {
 public:
  explicit StepCommand(const Model&) : step_(testkit::normal<Model>({any_byte(), any_byte(), any_byte(), any_byte()})) {}

  void checkPreconditions(const Model& model) const override { RC_PRE(model.allows(step_)); }
  void apply(Model& model) const override { model.apply(step_); }
  void run(const Model& before, System& system) const override {
    current_case() += text();
    Model after = before;
    after.apply(step_);
    system.run(step_, after);
    system.compare(after);
  }
  void show(std::ostream& out) const override { out << text(); }

 private:
  std::string text() const {
    return std::string(Model::names.at(step_.op)) + " " + std::to_string(step_.a) + " " + std::to_string(step_.b) + " " +
           std::to_string(step_.c) + "\n";
  }

  testkit::Step step_;
};

template <class Model, class System>
void check_against_model(const std::string& what) {
  rc::prop(what, [] {
    const Model model(any_byte());
    current_case().clear();
    testkit::Ledger ledger;
    {
      System system(ledger, model);
      rc::state::check(model, system, rc::state::gen::execOneOfWithArgs<StepCommand<Model, System>>());
    }
    RC_ASSERT(ledger.leftovers() == "");
  });
}

}  // namespace assay::properties
