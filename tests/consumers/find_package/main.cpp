#include <assay/assay.hpp>

namespace {
assay::Async<int> answer() { co_return 42; }
}  // namespace

int main() {
  assay::Executor executor;
  return executor.block_on(answer()) == 42 ? 0 : 1;
}
