// Shows run_in_child: how the child ends is told, and what the parent has buffered is written once, also when the child
// leaves with exit(), which writes out all buffers.
#include <cstdio>
#include <cstdlib>

#include "support/dies.hpp"

using assay::testkit::Death;
using assay::testkit::run_in_child;

TEST_CASE("run_in_child tells how the child ended, and what it said", "[testkit]") {
  const Death returned = run_in_child([] {});
  CHECK_FALSE(returned.aborted);
  CHECK(returned.exit_code == 0);
  CHECK(returned.standard_error.empty());
  const Death left = run_in_child([] {
    std::fputs("last words", stderr);
    std::_Exit(7);
  });
  CHECK_FALSE(left.aborted);
  CHECK(left.exit_code == 7);
  CHECK(left.standard_error == "last words");
  const Death aborted = run_in_child([] { std::abort(); });
  CHECK(aborted.aborted);
  CHECK(aborted.exit_code == -1);
  CHECK(aborted.standard_error.empty());
}

TEST_CASE("run_in_child: what is buffered is written once", "[testkit]") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  REQUIRE(std::fputs("once\n", file) >= 0);
  CHECK(run_in_child([] { std::exit(0); }).exit_code == 0);
  CHECK(run_in_child([] {}).exit_code == 0);
  CHECK(std::fseek(file, 0, SEEK_END) == 0);
  CHECK(std::ftell(file) == 5);
  std::fclose(file);
}
