// What the command line says.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace watchd {

struct Options {
  std::string directory = ".";
  std::string socket;  // of control
  std::chrono::milliseconds every{1000};
  bool table = false;  // draw in place
};

// Empty: the program is to end with `exit_code`, and has said why.
std::optional<Options> parse_options(int argc, char** argv, int& exit_code);

}  // namespace watchd
