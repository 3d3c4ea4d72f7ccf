// The echo client that all contenders are measured with: bench_echo_client PORT CONNECTIONS MESSAGES PAUSE.
// Sends MESSAGES messages of 64 bytes in all, on each connection one at a time, after one for each connection that does not
// count. Prints the nanoseconds it took. One connection is served with blocking calls, several with epoll. With one connection
// it sleeps for PAUSE microseconds before each message: a server that strace or valgrind slows down then still has to wait for it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t message_bytes = 64;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void send_message(int socket) {
  static const char message[message_bytes] = {};
  if (::send(socket, message, message_bytes, MSG_NOSIGNAL) != message_bytes) fail("bench_echo_client: send");
}

// Blocks until all of the message is back.
void receive_message(int socket) {
  char buffer[message_bytes];
  if (::recv(socket, buffer, message_bytes, MSG_WAITALL) != message_bytes) fail("bench_echo_client: recv");
}

void one_connection(int socket, unsigned long long messages, long pause_us) {
  const timespec pause{0, pause_us * 1000};
  for (unsigned long long i = 0; i < messages; ++i) {
    if (pause_us != 0) ::nanosleep(&pause, nullptr);
    send_message(socket);
    receive_message(socket);
  }
}

void many_connections(const std::vector<int>& sockets, unsigned long long messages) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) fail("bench_echo_client: epoll_create1");
  for (const int socket : sockets) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    if (::epoll_ctl(set, EPOLL_CTL_ADD, socket, &event) != 0) fail("bench_echo_client: epoll_ctl");
  }
  unsigned long long sent = 0;
  unsigned long long received = 0;
  for (const int socket : sockets) {
    if (sent == messages) break;
    send_message(socket);
    ++sent;
  }
  std::vector<epoll_event> events(sockets.size());
  while (received < messages) {
    const int count = ::epoll_wait(set, events.data(), static_cast<int>(events.size()), -1);
    if (count < 0) fail("bench_echo_client: epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      receive_message(socket);
      ++received;
      if (sent < messages) {
        send_message(socket);
        ++sent;
      }
    }
  }
  ::close(set);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench_echo_client PORT CONNECTIONS MESSAGES PAUSE\n");
    return 2;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10)));
  std::vector<int> sockets(std::strtoul(argv[2], nullptr, 10));
  const unsigned long long messages = std::strtoull(argv[3], nullptr, 10);
  for (int& socket : sockets) {
    socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) fail("bench_echo_client: socket");
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bench_echo_client: connect");
    const int yes = 1;
    if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("bench_echo_client: TCP_NODELAY");
  }
  for (const int socket : sockets) one_connection(socket, 1, 0);
  const auto start = std::chrono::steady_clock::now();
  if (sockets.size() == 1) {
    one_connection(sockets.front(), messages, std::strtol(argv[4], nullptr, 10));
  } else {
    many_connections(sockets, messages);
  }
  const auto end = std::chrono::steady_clock::now();
  std::printf("%lld\n", static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count()));
  for (const int socket : sockets) ::close(socket);
  return 0;
}
