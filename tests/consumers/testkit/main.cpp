// Uses the testkit as another project would: the ledger, a fault loop of its own, and an exhaustive scope of its own.
#include <assay/assay.hpp>
#include <assay_testkit/allocation_counter_operators.hpp>
#include <assay_testkit/enumerate.hpp>
#include <assay_testkit/fault_loop.hpp>
#include <assay_testkit/ledger.hpp>

namespace {

using namespace assay::testkit;

assay::Async<int> read(Counted value) { co_return value.value(); }

bool runs() {
  Ledger ledger;
  {
    assay::Executor executor;
    if (executor.block_on(read(Counted(ledger, 42))) != 42) return false;
  }
  return ledger.leftovers().empty();
}

bool survives_faults() {
  const auto scenario = [](FaultRegion& faults) {
    Ledger ledger;
    assay::Executor executor;
    faults([&] { executor.block_on(read(Counted(ledger, 42))); });
    if (!ledger.leftovers().empty()) throw Mismatch(ledger.leftovers());
  };
  const FaultLoop loop = each_allocation_fails(scenario);
  return loop.failures.empty() && loop.faults > 0;
}

struct Switch {
  explicit Switch(std::uint8_t) {}
  bool allows(const Step& step) const { return (step.op == 1) != on; }
  void apply(const Step& step) { on = step.op == 1; }
  bool on = false;
};
struct RealSwitch {
  RealSwitch(Ledger&, const Switch&) {}
  void run(const Step& step, const Switch&) { on = step.op == 1; }
  void compare(const Switch& model) const { expect(on == model.on, "on"); }
  bool on = false;
};

bool agrees_with_its_model() {
  Scope<Switch> scope;
  scope.name = "switch";
  scope.operations = {{"on", {Step{1}}}, {"off", {Step{0}}}};
  scope.depth = 5;
  const Enumerated found = enumerate<Switch, RealSwitch>(scope);
  return !found.failed && found.sequences == 5;
}

}  // namespace

int main() { return runs() && survives_faults() && agrees_with_its_model() ? 0 : 1; }
