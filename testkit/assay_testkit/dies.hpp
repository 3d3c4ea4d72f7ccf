// Runs code in a child process and tells how it ended: to see an abort, and the line that it prints.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace assay::testkit {

struct Death {
  bool aborted = false;  // by SIGABRT
  int exit_code = -1;    // when it exited
  std::string standard_error;
};

// The child runs `code` and, if that returns, exits with 0. Call it where no other thread runs.
template <class Code>
Death run_in_child(Code&& code) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  std::fflush(nullptr);  // or a child that calls exit() writes what is buffered here a second time
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) {
    ::close(ends[0]);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    std::signal(SIGABRT, SIG_DFL);
    std::forward<Code>(code)();
    ::_exit(0);
  }
  ::close(ends[1]);
  Death death;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(ends[0], buffer, sizeof buffer);
    if (got <= 0) break;
    death.standard_error.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  death.aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  if (WIFEXITED(status)) death.exit_code = WEXITSTATUS(status);
  return death;
}

}  // namespace assay::testkit
