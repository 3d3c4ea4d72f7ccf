// examples/watchd, driven from all its sides: files, the control socket, stdin, signals, a terminal, wrong arguments.
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay_testkit/subprocess.hpp"
#include "examples_support.hpp"
#include "support/scale.hpp"

using assay::test::Client;
using assay::test::example;
using assay::test::processor_time;
using assay::test::TemporaryFolder;
using assay::test::with_files;
using assay::testkit::Subprocess;
using assay::testkit::SubprocessOptions;
using namespace std::chrono_literals;

namespace {

struct Daemon {
  TemporaryFolder folder;
  TemporaryFolder elsewhere;
  std::string socket = elsewhere.file("control");
  Subprocess process;

  explicit Daemon(std::vector<std::string> more = {"--every", "20"}, SubprocessOptions options = {})
      : process(command(std::move(more)), options) {}

  std::vector<std::string> command(std::vector<std::string> more) const {
    std::vector<std::string> words{example("watchd"), "--directory", folder.path(), "--socket", socket};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  void touch(const std::string& name) const { std::ofstream(folder.file(name)) << "x"; }
  Client connect() {
    REQUIRE(process.wait_for_output("report"));  // it is up
    std::optional<Client> client = Client::unix_socket(socket);
    REQUIRE(client);
    return std::move(*client);
  }
  void check_end(int code, const std::string& last_line) {
    CHECK(process.wait() == code);
    CHECK(process.error_output().empty());
    CHECK(process.output().ends_with(last_line + "\n"));
    CHECK(!std::filesystem::exists(socket));
  }
};

}  // namespace

TEST_CASE("watchd: tells what happens in the directory", "[examples]") {
  Daemon daemon;
  REQUIRE(daemon.process.wait_for_line("report: up="));
  daemon.touch("one.txt");
  CHECK(daemon.process.wait_for_line("directory: created one.txt"));
  CHECK(daemon.process.wait_for_line("directory: written one.txt"));
  std::filesystem::rename(daemon.folder.file("one.txt"), daemon.folder.file("two.txt"));
  CHECK(daemon.process.wait_for_line("directory: moved away one.txt"));
  CHECK(daemon.process.wait_for_line("directory: moved here two.txt"));
  std::filesystem::remove(daemon.folder.file("two.txt"));
  CHECK(daemon.process.wait_for_line("directory: deleted two.txt"));
  daemon.touch("bad\x1b[31m\nname");
  CHECK(daemon.process.wait_for_line("directory: created bad?[31m?name"));
  daemon.touch(std::string(200, 'n'));
  CHECK(daemon.process.wait_for_line("directory: created nnn"));
  daemon.process.signal(SIGINT);
  daemon.check_end(0, "watchd: ended by SIGINT");
}

TEST_CASE("watchd: a storm of files", "[examples]") {
  Daemon daemon;
  REQUIRE(daemon.process.wait_for_line("report: up="));
  const std::uint64_t count = assay::test::scaled(500, 20);
  for (std::uint64_t i = 0; i < count; ++i) daemon.touch("file" + std::to_string(i));
  CHECK(daemon.process.wait_for_line("directory: written file" + std::to_string(count - 1)));
  CHECK(daemon.process.wait_for_line(" directory=" + std::to_string(2 * count) + " "));
  daemon.process.signal(SIGTERM);
  daemon.check_end(0, "watchd: ended by SIGTERM");
}

TEST_CASE("watchd: the control socket", "[examples]") {
  Daemon daemon;
  const Client client = daemon.connect();
  const Client second = daemon.connect();
  struct stat info {};
  REQUIRE(::stat(daemon.socket.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  REQUIRE(client.send("status\n"));
  const std::string status = client.receive_line();
  CHECK(status.starts_with("up="));
  CHECK(status.find(" control=1 ") != std::string::npos);
  REQUIRE(second.send("stat"));
  REQUIRE(client.send("nonsense\r\n\nstatus\x01\n"));
  CHECK(client.receive_line() == "error: unknown command 'nonsense'; there are: status, quit");
  CHECK(client.receive_line() == "error: unknown command ''; there are: status, quit");
  CHECK(client.receive_line() == "error: unknown command 'status?'; there are: status, quit");
  REQUIRE(second.send("us\n"));
  const std::string later = second.receive_line();
  CHECK(later.find(" control=5 ") != std::string::npos);
  CHECK(later.ends_with(" clients=2"));
  REQUIRE(client.send(std::string(100'000, 'z') + "\nstatus\n"));
  CHECK(client.receive_line() == "error: that line is too long");
  CHECK(client.receive_line().starts_with("up="));
  REQUIRE(second.send("status"));  // no end of line: the end of the stream will do
  second.finish_sending();
  CHECK(second.receive_line().starts_with("up="));
  CHECK(second.is_closed());
  REQUIRE(client.send("quit\n"));
  CHECK(client.receive_line() == "bye");
  CHECK(client.is_closed());
  daemon.check_end(0, "watchd: told to quit");
}

TEST_CASE("watchd: control clients beyond its file descriptors wait their turn, and cost nothing meanwhile",
          "[examples]") {
  if (assay::test::tool_needs_files) SKIP("UBSan cannot check a program that has no file descriptor left");
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  const std::string socket = elsewhere.file("control");
  Subprocess process(
      with_files(16, {example("watchd"), "--directory", folder.path(), "--socket", socket, "--every", "100"}));
  REQUIRE(process.wait_for_output("report"));
  std::vector<Client> clients;
  for (int i = 0; i < 22; ++i) {  // 16 of them may wait to be accepted
    std::optional<Client> client = Client::unix_socket(socket);
    REQUIRE(client);
    REQUIRE(client->send("status\n"));
    clients.push_back(std::move(*client));
  }
  CHECK(clients.front().receive_line().starts_with("up="));
  const std::chrono::nanoseconds before = processor_time(process.process());
  CHECK(clients.back().is_silent_for(1s));
  CHECK(processor_time(process.process()) - before < 250ms);
  clients.front().finish_sending();
  CHECK(clients.front().is_closed());
  for (std::size_t i = 1; i < clients.size(); ++i) {
    CAPTURE(i);
    REQUIRE(clients.at(i).receive_line().starts_with("up="));
    clients.at(i).finish_sending();
    REQUIRE(clients.at(i).is_closed());
  }
  CHECK(process.wait_for_line(" control=22 "));
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
  CHECK(process.error_output().empty());
  CHECK(process.output().ends_with("watchd: ended by SIGTERM\n"));
}

TEST_CASE("watchd: clients that vanish or never read", "[examples]") {
  Daemon daemon;
  for (int i = 0; i < 20; ++i) {
    Client client = daemon.connect();
    REQUIRE(client.send(i % 2 == 0 ? "status\nstatus\n" : "sta"));
  }
  const Client deaf = daemon.connect();
  // Answers that nobody takes fill the socket: its task waits, the daemon goes on.
  while (::send(deaf.fd(), "status\n", 7, MSG_DONTWAIT | MSG_NOSIGNAL) == 7) {
  }
  const Client client = daemon.connect();
  // The daemon may not have come to the end of those that vanished yet.
  std::string status;
  for (int tries = 0; tries < 1000 && !status.ends_with(" clients=2"); ++tries) {
    REQUIRE(client.send("status\n"));
    status = client.receive_line();
  }
  CHECK(status.ends_with(" clients=2"));
  daemon.process.signal(SIGINT);
  daemon.check_end(0, "watchd: ended by SIGINT");
}

TEST_CASE("watchd: commands on stdin, its end, and a stdin that is closed from the start", "[examples]") {
  {
    Daemon daemon;
    CHECK(daemon.process.write("status\ngarbage \xff\x01\n" + std::string(5000, 'q') + "\n"));
    CHECK(daemon.process.wait_for_line("stdin: status"));
    CHECK(daemon.process.wait_for_line("up="));
    CHECK(daemon.process.wait_for_line("error: unknown command 'garbage \xff?'; there are: status, quit"));
    CHECK(daemon.process.wait_for_line("stdin: (too long)"));
    CHECK(daemon.process.wait_for_line("error: that line is too long"));
    CHECK(daemon.process.write("half a line"));
    daemon.process.close_stdin();
    CHECK(daemon.process.wait_for_line("unknown command 'half a line'"));
    CHECK(daemon.process.wait_for_line("stdin: (end)"));
    CHECK(daemon.process.wait_for_line("report: up="));  // it goes on
    daemon.process.signal(SIGINT);
    daemon.check_end(0, "watchd: ended by SIGINT");
  }
  {
    Daemon daemon({}, {.no_stdin = true});
    CHECK(daemon.process.wait_for_line("stdin: (end)"));
    const Client client = daemon.connect();
    REQUIRE(client.send("status\nquit\n"));
    CHECK(client.receive_line().starts_with("up="));
    CHECK(client.receive_line() == "bye");
    daemon.check_end(0, "watchd: told to quit");
  }
  {
    Daemon daemon;
    CHECK(daemon.process.write("quit"));
    daemon.process.close_stdin();
    daemon.check_end(0, "watchd: told to quit");
  }
}

TEST_CASE("watchd: SIGUSR1 reports at once; reports come by themselves", "[examples]") {
  Daemon daemon({"--every", "86400000"});
  CHECK(daemon.process.wait_for_line("report: up="));
  daemon.process.signal(SIGUSR1);
  CHECK(daemon.process.wait_for_line("signals: SIGUSR1"));
  CHECK(daemon.process.wait_for_line(" signals=1 reports=2 "));
  daemon.process.signal(SIGTERM);
  daemon.check_end(0, "watchd: ended by SIGTERM");
}

TEST_CASE("watchd: on a terminal the table is drawn in place", "[examples]") {
  Daemon daemon({"--every", "20"}, {.terminal = true});
  std::optional<std::size_t> at = daemon.process.wait_for_output("clients");
  REQUIRE(at);
  CHECK(daemon.process.output().find("source         events  last") != std::string::npos);
  at = daemon.process.wait_for_output("\x1b[8A", *at);  // up over the eight lines, and over them again
  REQUIRE(at);
  daemon.touch("seen.txt");
  at = daemon.process.wait_for_output("written seen.txt", *at);
  REQUIRE(at);
  CHECK(daemon.process.output().find("report: ") == std::string::npos);
  std::optional<Client> client = Client::unix_socket(daemon.socket);
  REQUIRE(client);
  REQUIRE(client->send("quit\n"));
  CHECK(client->receive_line() == "bye");
  CHECK(daemon.process.wait() == 0);
  CHECK(daemon.process.output().ends_with("watchd: told to quit\r\n"));
}

TEST_CASE("watchd: --plain on a terminal prints lines", "[examples]") {
  Daemon daemon({"--plain"}, {.terminal = true});
  REQUIRE(daemon.process.wait_for_output("report: up="));
  daemon.process.signal(SIGINT);
  CHECK(daemon.process.wait() == 0);
  CHECK(daemon.process.output().find('\x1b') == std::string::npos);
}

TEST_CASE("watchd: the directory goes away", "[examples]") {
  Daemon daemon;
  REQUIRE(daemon.process.wait_for_line("report: up="));
  std::filesystem::remove_all(daemon.folder.path());
  daemon.check_end(1, "watchd: the directory is gone");
}

TEST_CASE("watchd: a second one is refused, and the socket of a dead one is taken over", "[examples]") {
  Daemon daemon;
  REQUIRE(daemon.process.wait_for_line("report: up="));
  Subprocess second(daemon.command({}));
  CHECK(second.wait() == 1);
  CHECK(second.error_output().find("(is another watchd running?)") != std::string::npos);
  CHECK(std::filesystem::exists(daemon.socket));
  daemon.process.signal(SIGKILL);
  CHECK(daemon.process.wait() == -SIGKILL);
  CHECK(std::filesystem::exists(daemon.socket));
  Subprocess third(daemon.command({}));
  REQUIRE(third.wait_for_line("report: up="));
  third.signal(SIGINT);
  CHECK(third.wait() == 0);
  CHECK(!std::filesystem::exists(daemon.socket));
}

TEST_CASE("watchd: its command line, and what it cannot open", "[examples]") {
  Subprocess help({example("watchd"), "--help"});
  CHECK(help.wait() == 0);
  CHECK(help.output().starts_with("usage: watchd "));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--every"},
                                                                                     {"--every", "9"},
                                                                                     {"--every", "soon"},
                                                                                     {"--every", "99999999999"},
                                                                                     {"--directory", ""},
                                                                                     {"--what"},
                                                                                     {"status"}}) {
    std::vector<std::string> command{example("watchd")};
    command.insert(command.end(), wrong.begin(), wrong.end());
    Subprocess program(command);
    CHECK(program.wait() == 2);
    CHECK(program.output().empty());
    CHECK(program.error_output().starts_with("watchd: "));
  }
  const TemporaryFolder folder;
  std::ofstream(folder.file("file")) << "x";
  struct Refused {
    std::vector<std::string> arguments;
    std::string why;
  };
  const std::vector<Refused> refused{
      {{"--directory", folder.file("none")}, "cannot watch the directory"},
      {{"--directory", folder.file("file")}, "cannot watch the directory"},
      {{"--directory", folder.path(), "--socket", folder.file("none/socket")}, "cannot make the control socket"},
      {{"--directory", folder.path(), "--socket", folder.file("file")}, "cannot make the control socket"},
      {{"--directory", folder.path(), "--socket", "/" + std::string(200, 's')}, "cannot use the control socket"},
  };
  for (const Refused& each : refused) {
    std::vector<std::string> command{example("watchd")};
    command.insert(command.end(), each.arguments.begin(), each.arguments.end());
    Subprocess program(command);
    CHECK(program.wait() == 1);
    CHECK(program.error_output().find("watchd: " + each.why) != std::string::npos);
  }
  CHECK(std::filesystem::exists(folder.file("file")));
}
