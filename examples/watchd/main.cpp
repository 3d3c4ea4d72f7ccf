// A small daemon: a directory, a control socket, signals, stdin and a periodic report, all in one executor.
#include <cstdio>
#include <exception>

#include <assay/assay.hpp>

#include "options.hpp"
#include "sources.hpp"

namespace {

using namespace watchd;

assay::Async<void> run(assay::Executor& executor, const Options& options, Daemon& daemon, Signals& signals,
                       DirectoryWatch& directory, ControlSocket& control) {
  assay::TaskGroup tasks(executor);
  tasks.spawn("signals", signals.run(daemon));
  tasks.spawn("directory", directory.run(daemon));
  tasks.spawn("control", control.run(executor, daemon));
  tasks.spawn("stdin", read_stdin(daemon));
  tasks.spawn("report", report(daemon, options.every, options.table));
  // Whichever comes first: somebody said quit, or a task failed, which throws here.
  co_await assay::select(daemon.ended.notified(), tasks.join_all());
}

}  // namespace

int main(int argc, char** argv) {
  int exit_code = 0;
  const std::optional<Options> options = parse_options(argc, argv, exit_code);
  if (!options) return exit_code;
  try {
    posix::fill_standard_files();
    Daemon daemon(*options);
    Signals signals;
    DirectoryWatch directory(options->directory);
    ControlSocket control(options->socket);
    assay::Executor executor;
    executor.block_on(run(executor, *options, daemon, signals, directory, control));
    daemon.status.finish(daemon.last_words);
    return daemon.exit_code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "watchd: %s\n", error.what());
    return 1;
  }
}
