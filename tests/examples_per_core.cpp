// examples/per_core: every message arrives; wrong arguments are refused with words.
#include <catch2/catch_test_macros.hpp>

#include "assay_testkit/subprocess.hpp"
#include "examples_support.hpp"

using assay::testkit::Subprocess;

TEST_CASE("per_core exchanges all messages", "[examples][threads]") {
  for (const char* cores : {"1", "3"}) {
    Subprocess program({assay::test::example("per_core"), "--threads", cores, "--messages", "3000"});
    CHECK(program.wait() == 0);
    const std::string each = "core 0 received 3000\n";
    CHECK(program.output().substr(0, each.size()) == each);
    const std::string sum = std::string(cores) + " threads, " + (cores[0] == '1' ? "3000 of 3000" : "9000 of 9000") + " messages";
    CHECK(program.output().find(sum) != std::string::npos);
    CHECK(program.error_output().empty());
  }
}

TEST_CASE("per_core says what it takes", "[examples][threads]") {
  Subprocess help({assay::test::example("per_core"), "--help"});
  CHECK(help.wait() == 0);
  CHECK(help.output().find("usage: per_core") == 0);
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--threads", "0"}, {"--threads"}, {"--messages", "x"}, {"--cores", "2"}, {"--threads", "1000"}}) {
    std::vector<std::string> command{assay::test::example("per_core")};
    command.insert(command.end(), wrong.begin(), wrong.end());
    Subprocess program(command);
    CHECK(program.wait() == 2);
    CHECK(program.error_output().find("usage: per_core") == 0);
  }
}
