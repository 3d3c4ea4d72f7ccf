// A TCP echo server: one thread, one executor, a task per client. Ctrl-C ends it: what has arrived by then is still
// echoed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <assay/assay.hpp>

#include "support/posix.hpp"

namespace {

using assay::Async;
using assay::Executor;
using assay::FdEvent;
using assay::Interest;
using namespace std::chrono_literals;

constexpr std::string_view usage = R"(usage: echo [--port PORT]

Sends back to each client of 127.0.0.1:PORT whatever it sends, until Ctrl-C.

  --port PORT   1 to 65535; 0, the default, picks a free one and prints it
  --help        this text
)";

struct Totals {
  std::uint64_t clients = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failed = 0;  // connections that broke
};

// Clients that are connected now. They can be told that nothing more will be read, and then finish by themselves.
class OpenSockets {
 public:
  class Entry {
   public:
    Entry(OpenSockets& all, int socket) : all_(all), socket_(socket) { all_.sockets_.insert(socket_); }
    ~Entry() { all_.sockets_.erase(socket_); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    OpenSockets& all_;
    int socket_;
  };

  void stop_reading() const {
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RD);
  }
  std::size_t size() const { return sockets_.size(); }

 private:
  std::set<int> sockets_;
};

struct Server {
  explicit Server(Executor& executor) : clients(executor) {}

  Totals totals;
  OpenSockets open;
  assay::TaskGroup clients;  // the last member: ends first, and with it the tasks that use the others
};

// Writes all of it. False: the connection is broken.
Async<bool> write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (posix::would_block()) {
      co_await FdEvent(socket, Interest::write);
    } else if (errno != EINTR) {
      co_return false;
    }
  }
  co_return true;
}

// One client, until it closes its end.
Async<void> echo(Server& server, posix::Fd socket) {
  const OpenSockets::Entry entry(server.open, socket.number());
  ++server.totals.clients;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(socket.number(), buffer.data(), buffer.size());
    if (got == 0) co_return;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && posix::would_block()) {
      co_await FdEvent(socket.number(), Interest::read);
      continue;
    }
    bool good = got > 0;
    if (good) {
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
      good = co_await write_all(socket.number(), bytes);
      server.totals.bytes += bytes.size();
    }
    if (!good) {
      ++server.totals.failed;
      co_return;
    }
    co_await assay::yield_now();  // a client that never pauses must not keep the others waiting
  }
}

// For ever: a task for each client that comes.
Async<void> accept_clients(Server& server, const posix::Fd& listener) {
  bool complained = false;
  for (;;) {
    const int number = ::accept4(listener.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (number >= 0) {
      posix::Fd socket(number, "accept");
      server.clients.spawn("client", echo, std::ref(server), std::move(socket));
      co_await assay::yield_now();
    } else if (posix::would_block()) {
      co_await FdEvent(listener.number(), Interest::read);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The client stays in the queue, so the listener stays ready: look again when others may have gone.
      if (!std::exchange(complained, true)) std::perror("echo: cannot accept more clients for now");
      co_await assay::sleep(50ms);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      posix::fail("cannot accept clients");
    }
  }
}

Async<void> wait_for_signal(const posix::Fd& signals) {
  for (;;) {
    const std::optional<int> signal = posix::read_signal(signals);
    if (signal) co_return;
    co_await FdEvent(signals.number(), Interest::read);
  }
}

Async<void> serve(Executor& executor, posix::Fd listener, const posix::Fd& signals) {
  Server server(executor);
  co_await assay::select(accept_clients(server, listener), wait_for_signal(signals));

  listener.close();
  server.open.stop_reading();
  // A client that does not take its echo, or a second Ctrl-C, does not hold up the end for longer than this.
  co_await assay::select(server.clients.join_all(), wait_for_signal(signals), assay::sleep(2s));
  const std::size_t cut_off = server.open.size();
  server.clients.cancel_all();
  std::printf("served %llu clients, echoed %llu bytes, %llu broken connections, %zu cut off\n",
              static_cast<unsigned long long>(server.totals.clients),
              static_cast<unsigned long long>(server.totals.bytes),
              static_cast<unsigned long long>(server.totals.failed), cut_off);
}

// A listener on 127.0.0.1; says where.
posix::Fd listen_on(std::uint16_t port) {
  posix::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "cannot make a socket");
  const int on = 1;
  ::setsockopt(listener.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);  // how the sockets API spells it
  if (::bind(listener.number(), generic, size) != 0 || ::listen(listener.number(), SOMAXCONN) != 0) {
    posix::fail("cannot listen on 127.0.0.1:" + std::to_string(port));
  }
  if (::getsockname(listener.number(), generic, &size) != 0) posix::fail("cannot tell the port");
  std::printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

// As many clients as the system allows.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  int port = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::fwrite(usage.data(), 1, usage.size(), stdout);
      return 0;
    }
    const std::optional<int> number =
        option == "--port" && i + 1 < argc ? posix::parse_number(argv[++i], 0, 65535) : std::nullopt;
    if (!number) {
      std::fprintf(stderr, "echo: cannot make sense of '%s'; --help tells what is possible\n", argv[i]);
      return 2;
    }
    port = *number;
  }
  try {
    raise_file_limit();
    const posix::Fd signals = posix::take_signals({SIGINT, SIGTERM});
    posix::Fd listener = listen_on(static_cast<std::uint16_t>(port));
    Executor executor;
    executor.block_on(serve(executor, std::move(listener), signals));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "echo: %s\n", error.what());
    return 1;
  }
}
