#include <assay/assay.hpp>
#include <assay_testkit/ledger.hpp>

namespace {
assay::Async<int> read(assay::testkit::Counted value) { co_return value.value(); }
}  // namespace

int main() {
  assay::testkit::Ledger ledger;
  {
    assay::Executor executor;
    if (executor.block_on(read(assay::testkit::Counted(ledger, 42))) != 42) {
      return 1;
    }
  }
  return ledger.leftovers().empty() ? 0 : 1;
}
