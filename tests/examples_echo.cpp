// examples/echo under real clients: a thousand at the same time, large and small messages, broken connections, Ctrl-C.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay_testkit/subprocess.hpp"
#include "examples_support.hpp"
#include "support/scale.hpp"

using assay::test::Client;
using assay::test::example;
using assay::test::processor_time;
using assay::test::with_files;
using namespace std::chrono_literals;
using assay::testkit::Subprocess;

namespace {

// The server, and the port that it has picked.
struct Server {
  Subprocess process;
  std::uint16_t port = 0;

  explicit Server(const std::vector<std::string>& command = {example("echo"), "--port", "0"}) : process(command) {
    const std::optional<std::string> line = process.wait_for_line("listening on 127.0.0.1:");
    REQUIRE(line);
    port = static_cast<std::uint16_t>(std::stoi(line->substr(line->find(':') + 1)));
    REQUIRE(port != 0);
  }

  std::string stop(int signal = SIGINT) {
    process.signal(signal);
    CHECK(process.wait() == 0);
    CHECK(process.error_output().empty());
    const std::size_t at = process.output().find("served ");
    return at != std::string::npos ? process.output().substr(at) : std::string();
  }
};

std::string message(std::size_t client, std::size_t round) {
  return "client " + std::to_string(client) + " says " + std::to_string(round) + std::string(round * 37 % 500, '.') +
         "\n";
}

}  // namespace

TEST_CASE("echo: a thousand clients at the same time, several messages each", "[examples]") {
  const std::size_t wanted = assay::test::scaled(1000, 20);
  const std::size_t count = std::min<std::size_t>(wanted, assay::test::allow_files(wanted + 100) - 50);
  Server server;
  std::vector<Client> clients;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<Client> client = Client::tcp(server.port);
    REQUIRE(client);
    clients.push_back(std::move(*client));
  }
  for (std::size_t round = 0; round < 4; ++round) {
    // All have sent before the first one reads.
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE(clients.at(i).send(message(i, round)));
      bytes += message(i, round).size();
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::string expected = message(i, round);
      REQUIRE(clients.at(i).receive(expected.size()) == expected);
    }
  }
  for (const Client& client : clients) client.finish_sending();
  for (const Client& client : clients) REQUIRE(client.is_closed());
  CHECK(server.stop() == "served " + std::to_string(count) + " clients, echoed " + std::to_string(bytes) +
                             " bytes, 0 broken connections, 0 cut off\n");
}

TEST_CASE("echo: more than the socket buffers hold, while others go on", "[examples]") {
  Server server;
  std::optional<Client> big = Client::tcp(server.port);
  std::optional<Client> small = Client::tcp(server.port);
  REQUIRE(big);
  REQUIRE(small);
  std::string bytes(assay::test::scaled(8 << 20, 1 << 18), '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) = static_cast<char>(i * 31 % 251);
  std::thread sender([&] {
    big->send(bytes);
    big->finish_sending();
  });
  // The big one is not read from meanwhile: the server's writes to it block, those to the small one do not.
  for (std::size_t round = 0; round < 50; ++round) {
    REQUIRE(small->send(message(0, round)));
    REQUIRE(small->receive(message(0, round).size()) == message(0, round));
  }
  CHECK(big->receive(bytes.size()) == bytes);
  CHECK(big->is_closed());
  sender.join();
  small.reset();
  CHECK(server.stop().find(" 0 broken connections, 0 cut off") != std::string::npos);
}

TEST_CASE("echo: connections that break, or say nothing, harm nobody", "[examples]") {
  Server server;
  for (int i = 0; i < 20; ++i) {
    std::optional<Client> rude = Client::tcp(server.port);
    REQUIRE(rude);
    if (i % 2 == 0) REQUIRE(rude->send("half a mess"));
    rude->reset();
  }
  std::optional<Client> silent = Client::tcp(server.port);
  REQUIRE(silent);
  std::optional<Client> polite = Client::tcp(server.port);
  REQUIRE(polite);
  REQUIRE(polite->send("hello\n"));
  CHECK(polite->receive(6) == "hello\n");
  CHECK(server.stop(SIGTERM).starts_with("served 22 clients"));
  CHECK(silent->is_closed());
}

TEST_CASE("echo: Ctrl-C finishes what has arrived, and cuts off who does not take it", "[examples]") {
  Server server;
  std::optional<Client> idle = Client::tcp(server.port);
  std::optional<Client> stuck = Client::tcp(server.port);
  REQUIRE(idle);
  REQUIRE(stuck);
  REQUIRE(idle->send("one"));
  REQUIRE(idle->receive(3) == "one");
  // The client sends and never reads, until nothing has gone through for a second: all buffers are full, both ways.
  const std::string block(65536, 'x');
  pollfd full{stuck->fd(), POLLOUT, 0};
  bool has_taken = true;  // asked for once, so that the number of assertions does not hang on the kernel's buffers
  while (has_taken && ::poll(&full, 1, 1000) == 1) {
    has_taken = ::send(stuck->fd(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
  }
  REQUIRE(has_taken);
  server.process.signal(SIGINT);
  CHECK(idle->is_closed());       // at once: nothing was left to echo
  server.process.signal(SIGINT);  // a second one: do not wait for the other
  CHECK(server.process.wait() == 0);
  CHECK(server.process.output().find("served 2 clients") != std::string::npos);
  CHECK(server.process.output().find(" 1 cut off\n") != std::string::npos);
  CHECK(!Client::tcp(server.port));
}

TEST_CASE("echo: clients beyond its file descriptors wait their turn, and cost nothing meanwhile", "[examples]") {
  if (assay::test::tool_needs_files) SKIP("UBSan cannot check a program that has no file descriptor left");
  Server server(with_files(20, {example("echo"), "--port", "0"}));
  constexpr std::size_t count = 50;
  std::vector<Client> clients;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<Client> client = Client::tcp(server.port);
    REQUIRE(client);
    REQUIRE(client->send(message(i, 1)));
    clients.push_back(std::move(*client));
  }
  CHECK(clients.front().receive(message(0, 1).size()) == message(0, 1));
  const std::chrono::nanoseconds before = processor_time(server.process.process());
  CHECK(clients.back().is_silent_for(1s));
  CHECK(processor_time(server.process.process()) - before < 250ms);
  clients.front().finish_sending();
  CHECK(clients.front().is_closed());
  for (std::size_t i = 1; i < count; ++i) {
    CAPTURE(i);
    REQUIRE(clients.at(i).receive(message(i, 1).size()) == message(i, 1));
    clients.at(i).finish_sending();
    REQUIRE(clients.at(i).is_closed());
  }
  server.process.signal(SIGINT);
  CHECK(server.process.wait() == 0);
  CHECK(server.process.error_output() == "echo: cannot accept more clients for now: Too many open files\n");
  CHECK(server.process.output().find("served 50 clients, ") != std::string::npos);
  CHECK(server.process.output().ends_with(" 0 broken connections, 0 cut off\n"));
}

TEST_CASE("echo: its command line", "[examples]") {
  Subprocess help({example("echo"), "--help"});
  CHECK(help.wait() == 0);
  CHECK(help.output().starts_with("usage: echo [--port PORT]"));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--port"},
                                                                                     {"--port", "65536"},
                                                                                     {"--port", "-1"},
                                                                                     {"--port", "12x"},
                                                                                     {"--port", ""},
                                                                                     {"--prot", "1"},
                                                                                     {"7"}}) {
    std::vector<std::string> command{example("echo")};
    command.insert(command.end(), wrong.begin(), wrong.end());
    Subprocess program(command);
    CHECK(program.wait() == 2);
    CHECK(program.output().empty());
    CHECK(program.error_output().starts_with("echo: cannot make sense of '"));
  }
}

TEST_CASE("echo: a port that is taken", "[examples]") {
  Server server;
  Subprocess second({example("echo"), "--port", std::to_string(server.port)});
  CHECK(second.wait() == 1);
  CHECK(second.error_output().find("cannot listen on 127.0.0.1:" + std::to_string(server.port)) != std::string::npos);
  server.stop();
}
