#include "stateful.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace assay::properties {

std::string& current_case() {
  static std::string steps;
  return steps;
}

namespace {

extern "C" void print_case(int) {
  const std::string& steps = current_case();
  static_cast<void>(!::write(STDERR_FILENO, steps.data(), steps.size()));
  std::signal(SIGABRT, SIG_DFL);
}

// Catch2 reports the abort first, and then lets the handler that was there before it have its turn.
[[maybe_unused]] const auto installed = std::signal(SIGABRT, print_case);

// RapidCheck reads it at the first property; its own default of 100 cases is too few for a state machine.
[[maybe_unused]] const int configured = ::setenv("RC_PARAMS", "max_success=500", 0);

}  // namespace

}  // namespace assay::properties
