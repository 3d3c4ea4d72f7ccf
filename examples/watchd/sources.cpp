#include "sources.hpp"

#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include <assay/events.hpp>
#include <assay/select.hpp>
#include <assay/task_group.hpp>
#include <assay/time.hpp>
#include <assay/yield.hpp>

#include "lines.hpp"

namespace watchd {

using assay::Async;
using assay::FdEvent;
using assay::Interest;
using namespace std::chrono_literals;

std::string answer(Daemon& daemon, std::string_view command) {
  if (command == "status") return daemon.status.line();
  if (command == "quit") {
    daemon.quit("watchd: told to quit");
    return "bye";
  }
  return "error: unknown command '" + printable(command) + "'; there are: status, quit";
}

// ---- directory
// ---------------------------------------------------------------------------------------------------------

namespace {

struct EventName {
  std::uint32_t mask;
  const char* name;
};
constexpr std::array<EventName, 6> event_names{{{IN_CREATE, "created"},
                                                {IN_CLOSE_WRITE, "written"},
                                                {IN_DELETE, "deleted"},
                                                {IN_MOVED_FROM, "moved away"},
                                                {IN_MOVED_TO, "moved here"},
                                                {IN_ATTRIB, "attributes of"}}};

constexpr std::uint32_t watched = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

void tell(Daemon& daemon, std::uint32_t mask, const std::string& name) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    daemon.status.happened(Source::directory, "too much at once: some events are lost");
  } else if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
    daemon.quit("watchd: the directory is gone", 1);
  } else if (!name.empty()) {
    for (const EventName& event : event_names) {
      if ((mask & event.mask) != 0) daemon.status.happened(Source::directory, std::string(event.name) + " " + name);
    }
  }
}

// What a read of inotify gave: events, each followed by its name.
void tell_all(Daemon& daemon, std::string_view bytes) {
  while (bytes.size() >= sizeof(inotify_event)) {
    inotify_event event{};
    std::memcpy(&event, bytes.data(), sizeof event);  // its place in the buffer need not be aligned
    bytes.remove_prefix(sizeof event);
    std::string name(bytes.substr(0, event.len));
    bytes.remove_prefix(event.len);
    name.resize(std::strlen(name.c_str()));  // padded with zeros
    tell(daemon, event.mask, name);
  }
}

}  // namespace

DirectoryWatch::DirectoryWatch(const std::string& directory)
    : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "cannot use inotify") {
  if (::inotify_add_watch(inotify_.number(), directory.c_str(), watched) < 0) {
    posix::fail("cannot watch the directory '" + directory + "'");
  }
}

Async<void> DirectoryWatch::run(Daemon& daemon) {
  std::array<char, 4096> buffer;  // a name is 256 bytes at most
  for (;;) {
    const ssize_t got = ::read(inotify_.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && posix::would_block()) {
      co_await FdEvent(inotify_.number(), Interest::read);
      continue;
    }
    if (got < 0) posix::fail("cannot read from inotify");
    tell_all(daemon, std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    co_await assay::yield_now();
  }
}

// ---- control
// -----------------------------------------------------------------------------------------------------------

namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    posix::fail("cannot use the control socket '" + path + "'");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

posix::Fd unix_socket() {
  return posix::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "cannot make a socket");
}

// A socket's file stays behind when its program dies. Nobody answers there: it may be replaced.
bool is_dead_socket(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const posix::Fd probe = unix_socket();
  return ::connect(probe.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

// Sends it all, or as much as a client takes that is there.
Async<bool> send_all(int socket, std::string text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
    } else if (posix::would_block()) {
      co_await FdEvent(socket, Interest::write);
    } else if (errno != EINTR) {
      co_return false;
    }
  }
  co_return true;
}

struct ClientCount {
  explicit ClientCount(Status& of) : status(of) { ++status.clients; }
  ~ClientCount() { --status.clients; }
  ClientCount(const ClientCount&) = delete;
  ClientCount& operator=(const ClientCount&) = delete;
  Status& status;
};

// One client of the control socket: a line, an answer, until it hangs up.
Async<void> serve(Daemon& daemon, posix::Fd socket) {
  const ClientCount count(daemon.status);
  Lines lines;
  std::array<char, 1024> buffer;
  for (;;) {
    const ssize_t got = ::read(socket.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && posix::would_block()) {
      co_await FdEvent(socket.number(), Interest::read);
      continue;
    }
    if (got < 0) co_return;
    if (got == 0) {
      lines.end();
    } else {
      lines.add(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    }
    while (const std::optional<Lines::Line> line = lines.next()) {
      daemon.status.happened(Source::control, line->too_long ? "(too long)" : line->text);
      std::string reply = line->too_long ? "error: that line is too long" : answer(daemon, line->text);
      reply += '\n';
      const bool sent = co_await send_all(socket.number(), std::move(reply));
      if (!sent) co_return;
    }
    if (got == 0) co_return;
    co_await assay::yield_now();
  }
}

}  // namespace

ControlSocket::ControlSocket(const std::string& path) : listener_(unix_socket()) {
  const sockaddr_un address = address_of(path);
  if (is_dead_socket(path, address)) ::unlink(path.c_str());
  const mode_t before = ::umask(0177);
  const int bound = ::bind(listener_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0) posix::fail("cannot make the control socket '" + path + "' (is another watchd running?)");
  path_ = path;  // from here on it is ours to remove
  if (::listen(listener_.number(), 16) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    errno = error;
    posix::fail("cannot listen on the control socket '" + path + "'");
  }
}

ControlSocket::~ControlSocket() { ::unlink(path_.c_str()); }

Async<void> ControlSocket::run(assay::Executor& executor, Daemon& daemon) {
  assay::TaskGroup clients(executor);
  for (;;) {
    const int number = ::accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (number >= 0) {
      posix::Fd socket(number, "accept");
      clients.spawn("client", serve, std::ref(daemon), std::move(socket));
    } else if (posix::would_block()) {
      co_await FdEvent(listener_.number(), Interest::read);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      co_await assay::sleep(50ms);  // the client stays in the queue
    } else if (errno != EINTR && errno != ECONNABORTED) {
      posix::fail("cannot accept control clients");
    }
    co_await assay::yield_now();
  }
}

// ---- signals, stdin, reports
// -------------------------------------------------------------------------------------------

Signals::Signals() : signals_(posix::take_signals({SIGINT, SIGTERM, SIGUSR1})) {}

Async<void> Signals::run(Daemon& daemon) {
  for (;;) {
    const std::optional<int> signal = posix::read_signal(signals_);
    if (!signal) {
      co_await FdEvent(signals_.number(), Interest::read);
      continue;
    }
    const char* const name = *signal == SIGINT ? "SIGINT" : *signal == SIGTERM ? "SIGTERM" : "SIGUSR1";
    daemon.status.happened(Source::signals, name);
    if (*signal == SIGUSR1) {
      daemon.status.report();
    } else {
      daemon.quit(std::string("watchd: ended by ") + name);
    }
  }
}

Async<void> read_stdin(Daemon& daemon) {
  // stdin may be shared with a shell, which wants it blocking: so it stays, and is read only when it is ready.
  Lines lines;
  std::array<char, 1024> buffer;
  for (;;) {
    co_await FdEvent(STDIN_FILENO, Interest::read);
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || posix::would_block())) continue;
    if (got > 0) {
      lines.add(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    } else {
      lines.end();  // an error, of a terminal that went, is an end too
    }
    while (const std::optional<Lines::Line> line = lines.next()) {
      daemon.status.happened(Source::input, line->too_long ? "(too long)" : line->text);
      daemon.status.say(line->too_long ? "error: that line is too long" : answer(daemon, line->text));
    }
    if (got <= 0) {
      daemon.status.happened(Source::input, "(end)");
      co_return;
    }
  }
}

Async<void> report(Daemon& daemon, std::chrono::milliseconds every, bool table) {
  assay::Interval ticks = assay::interval(every, assay::MissedTicks::skip);
  for (;;) {
    if (table) {
      co_await assay::select(ticks.tick(), daemon.status.changed.notified());
      daemon.status.report();
      co_await assay::sleep(50ms);  // a storm of events is drawn twenty times a second, not more
    } else {
      co_await ticks.tick();
      daemon.status.report();
    }
  }
}

}  // namespace watchd
