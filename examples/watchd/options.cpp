#include "options.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "../support/posix.hpp"

namespace watchd {

namespace {

constexpr std::string_view usage = R"(usage: watchd [--directory DIR] [--socket PATH] [--every MILLISECONDS] [--plain]

Watches a directory, and tells what happens there: in a table that is drawn in place when the output is a terminal, in
lines otherwise. Takes commands on stdin and on a Unix socket: status, quit. Ends with Ctrl-C, too.

  --directory DIR        what to watch; default: the current directory
  --socket PATH          the control socket; default: watchd.sock in $XDG_RUNTIME_DIR, or /tmp/watchd-UID.sock
  --every MILLISECONDS   between two reports, 10 to 86400000; default: 1000
  --plain                lines, on a terminal too
  --help                 this text

Signals: SIGINT, SIGTERM end it; SIGUSR1 reports at once.
To talk to it:  echo status | nc -U -q 1 PATH
)";

std::string default_socket() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime != '\0') return std::string(runtime) + "/watchd.sock";
  return "/tmp/watchd-" + std::to_string(::getuid()) + ".sock";
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv, int& exit_code) {
  Options options;
  options.socket = default_socket();
  options.table = ::isatty(STDOUT_FILENO) == 1;
  exit_code = 2;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::fwrite(usage.data(), 1, usage.size(), stdout);
      exit_code = 0;
      return std::nullopt;
    }
    if (option == "--plain") {
      options.table = false;
      continue;
    }
    if (option != "--directory" && option != "--socket" && option != "--every") {
      std::fprintf(stderr, "watchd: unknown option '%s'; --help lists them\n", argv[i]);
      return std::nullopt;
    }
    if (i + 1 == argc || *argv[i + 1] == '\0') {
      std::fprintf(stderr, "watchd: %s needs a value\n", argv[i]);
      return std::nullopt;
    }
    const char* const value = argv[++i];
    if (option == "--directory") {
      options.directory = value;
    } else if (option == "--socket") {
      options.socket = value;
    } else if (const std::optional<int> number = posix::parse_number(value, 10, 86'400'000)) {
      options.every = std::chrono::milliseconds(*number);
    } else {
      std::fprintf(stderr, "watchd: --every '%s' is no number from 10 to 86400000\n", value);
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace watchd
