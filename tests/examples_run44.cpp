// examples/run44: prints 42, and ends.
#include <catch2/catch_test_macros.hpp>

#include "assay_testkit/subprocess.hpp"
#include "examples_support.hpp"

using assay::testkit::Subprocess;

TEST_CASE("run44 prints the answer", "[examples]") {
  for (int i = 0; i < 20; ++i) {
    Subprocess program({assay::test::example("run44")});
    CHECK(program.wait() == 0);
    CHECK(program.output() == "42\n");
    CHECK(program.error_output().empty());
  }
}
