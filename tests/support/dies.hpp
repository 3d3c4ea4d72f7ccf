// Checks that code aborts with a line that says what the user did.
#pragma once

#include <string>
#include <utility>

#include <catch2/catch_test_macros.hpp>

#include "assay/base/check.hpp"
#include "assay_testkit/dies.hpp"

namespace assay::test {

// `code` must abort in a child process, and the child's stderr hold a line of assay's with these words.
template <class Code>
void check_dies(const std::string& words, Code&& code) {
  const testkit::Death death = testkit::run_in_child(std::forward<Code>(code));
  CAPTURE(words, death.standard_error, death.exit_code);
  CHECK(death.aborted);
  const std::size_t line = death.standard_error.find("assay: ");
  CHECK(line != std::string::npos);
  CHECK(death.standard_error.find(words) != std::string::npos);
}

// The same for what is checked only from this ASSAY_HARDENING_LEVEL on: below it the program would go on, broken.
template <int level, class Code>
void check_dies_from_level(const std::string& words, Code&& code) {
  if constexpr (ASSAY_HARDENING_LEVEL >= level) check_dies(words, std::forward<Code>(code));
}

// The other side of the same rule: the code runs to its end, silently.
template <class Code>
void check_survives(Code&& code) {
  const testkit::Death death = testkit::run_in_child(std::forward<Code>(code));
  CAPTURE(death.standard_error);
  CHECK_FALSE(death.aborted);
  CHECK(death.exit_code == 0);
  CHECK(death.standard_error.empty());
}

}  // namespace assay::test
