// Where events come from. Each class opens its file in the constructor, which throws what is wrong, and has a task that
// serves it until it is cancelled.
#pragma once

#include <string>
#include <string_view>

#include <assay/async.hpp>
#include <assay/executor.hpp>
#include <assay/notify.hpp>

#include "../support/posix.hpp"
#include "options.hpp"
#include "status.hpp"

namespace watchd {

// What all tasks share.
struct Daemon {
  explicit Daemon(const Options& options) : status(options.directory, options.socket, options.table) {}

  // Ends the program, with these last words.
  void quit(std::string why, int code = 0) {
    last_words = std::move(why);
    exit_code = code;
    ended.notify_one();
  }

  Status status;
  assay::Notify ended;
  std::string last_words = "watchd: end";
  int exit_code = 0;
};

// The answer to a command: of stdin or of the control socket.
std::string answer(Daemon& daemon, std::string_view command);

// inotify on a directory.
class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::string& directory);
  assay::Async<void> run(Daemon& daemon);

 private:
  posix::Fd inotify_;
};

// A Unix socket that only this user may use. Removes its file at the end; takes over the file of a dead predecessor.
class ControlSocket {
 public:
  explicit ControlSocket(const std::string& path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  assay::Async<void> run(assay::Executor& executor, Daemon& daemon);

 private:
  std::string path_;
  posix::Fd listener_;
};

class Signals {
 public:
  Signals();
  assay::Async<void> run(Daemon& daemon);

 private:
  posix::Fd signals_;
};

// Commands on stdin, until it ends; the daemon goes on without.
assay::Async<void> read_stdin(Daemon& daemon);

// A report each period; and, as a table, soon after something has changed.
assay::Async<void> report(Daemon& daemon, std::chrono::milliseconds every, bool table);

}  // namespace watchd
