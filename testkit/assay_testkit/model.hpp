// For models: production source under Relacy's exhaustive search. Include first.
#pragma once

#define ASSAY_SYNC_HEADER "assay_testkit/relacy_sync.hpp"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "assay_testkit/relacy_sync.hpp"

#include "assay/base/check.hpp"

// Models do not link the runtime: an assertion of the code under test ends the model.
inline void assay::audited::fail(const char* message, const char* file, int line, const char*) noexcept {
  std::fprintf(stderr, "model: %s (%s:%d)\n", message, file, line);
  std::abort();
}

namespace assay::testkit {

// Searches all interleavings of Test, with at most `bound` involuntary context switches (0: no bound). Prints executions;
// returns main()'s exit code.
template <class Test>
int explore(const char* name, unsigned bound = 0) {
  rl::test_params params;
  std::ostringstream progress;
  params.progress_stream = &progress;
  params.search_type = bound == 0 ? rl::sched_full : rl::sched_bound;
  params.context_bound = bound;
  params.execution_depth_limit = 2000;
  const bool passed = rl::simulate<Test>(params);
  std::printf("model %s: %s  %llu executions%s\n", name, passed ? "PASS" : "FAIL",
              static_cast<unsigned long long>(params.stop_iteration),
              bound == 0 ? ", full search" : (", context bound " + std::to_string(bound)).c_str());
  return passed ? 0 : 1;
}

}  // namespace assay::testkit
