// FdSource on every backend: reading and writing, the end of a stream, two tasks at once, dropped futures, reused numbers,
// what falls back to one-shot waits; and which system calls are made for it, one by one.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/async.hpp"
#include "assay/events.hpp"
#include "assay/executor.hpp"
#include "assay/fd_source.hpp"
#include "assay/run.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "reactor_backends.hpp"
#include "support/dies.hpp"
#include "support/scale.hpp"
#include "time_state.hpp"

using assay::Async;
using assay::Executor;
using assay::FdEvent;
using assay::FdKind;
using assay::FdSource;
using assay::Interest;
using assay::IoResult;
using assay::JoinHandle;
using assay::Readiness;
using assay::test::becomes_readable;
using assay::test::check_dies;
using assay::test::checked;
using assay::test::EpollBackend;
using assay::test::NarrowEpollBackend;
using assay::test::Pipe;
using assay::test::PollBackend;
using assay::test::SimulatedBackend;
using assay::test::SocketPair;
using assay::test::State;
using assay::test::state_of;
using assay::testkit::SystemCall;

#define REAL_BACKENDS PollBackend, EpollBackend, NarrowEpollBackend

namespace assay {
static std::ostream& operator<<(std::ostream& out, const IoResult& result) {
  return out << "{bytes " << result.bytes << ", error " << result.error << "}";
}
}  // namespace assay

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// System calls since they were last asked for.
struct Calls {
  std::uint64_t control = 0;
  std::uint64_t waits = 0;  // epoll_wait, epoll_pwait2, ppoll
  std::uint64_t reads = 0;
  std::uint64_t sends = 0;
  std::uint64_t writes = 0;
  friend bool operator==(const Calls&, const Calls&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Calls& calls) {
    return out << "{control " << calls.control << ", waits " << calls.waits << ", reads " << calls.reads << ", sends "
               << calls.sends << ", writes " << calls.writes << "}";
  }
};

template <class Backend>
class World {
 public:
  World() : executor({.reactor = &backend.reactor()}) {}

  // So many calls of epoll_ctl, if there are any: one for each source, and at first one for the executor's wakeup fd. Where
  // generations have one bit, a new set is made all the time: as many as there were.
  std::uint64_t told(std::uint64_t count) const {
    return is_narrow ? backend.calls().calls(SystemCall::epoll_ctl) - seen_.control : is_epoll ? count : 0;
  }
  Calls calls_since() {
    const assay::testkit::SystemFaults& faults = backend.calls();
    const Calls now{faults.calls(SystemCall::epoll_ctl),
                    faults.calls(SystemCall::epoll_wait) + faults.calls(SystemCall::epoll_pwait2) +
                        faults.calls(SystemCall::ppoll),
                    faults.calls(SystemCall::read), faults.calls(SystemCall::send), faults.calls(SystemCall::write)};
    const Calls before = std::exchange(seen_, now);
    return {now.control - before.control, now.waits - before.waits, now.reads - before.reads, now.sends - before.sends,
            now.writes - before.writes};
  }
  template <class F>
  auto start(F&& future) {
    auto handle = executor.spawn(std::forward<F>(future));
    executor.run_until_stalled();
    return handle;
  }
  // The result of a task that is done.
  template <class T>
  std::optional<T> result(JoinHandle<T>& task) {
    executor.run_until_stalled();
    executor.check_deep();
    return task.is_finished() ? task.try_join() : std::nullopt;
  }

  static constexpr bool is_epoll = !std::is_same_v<Backend, PollBackend>;
  static constexpr bool is_narrow = std::is_same_v<Backend, NarrowEpollBackend>;

  Backend backend{};
  Executor executor;
  std::array<std::byte, 64> buffer{};

 private:
  Calls seen_{};
};

// Reads, and tells what it got.
Async<std::string> read_text(FdSource& source, std::size_t room) {
  std::vector<std::byte> bytes(room);
  const IoResult got = co_await source.read(bytes);
  if (got.error != 0) co_return "error " + std::to_string(got.error);
  std::string text;
  for (std::size_t i = 0; i < got.bytes; ++i) text.push_back(static_cast<char>(bytes.at(i)));
  co_return text;
}

Async<void> echo_for_ever(FdSource& source) {
  std::array<std::byte, 64> bytes{};
  for (;;) {
    const IoResult got = co_await source.read(bytes);
    if (got.bytes == 0) co_return;
    co_await source.write(std::span(bytes).first(got.bytes));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("an echo of a byte stream: one wait, one read, one send, and no other call", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  constexpr std::uint64_t messages = 20;
  std::uint64_t sent = 0;
  std::uint64_t echoed = 0;
  // Each message comes while the executor sleeps; after the last one, the end.
  std::function<void()> next = [&] {
    std::array<char, 64> bytes{};
    if (sent > 0 && ::read(sockets.writer(), bytes.data(), bytes.size()) == 5) ++echoed;
    if (sent == messages) {
      sockets.close_writer();
    } else {
      ++sent;
      sockets.write("hello");
      world.backend.while_parked(next);
    }
    if (sent == messages && echoed < messages) world.backend.while_parked(next);
  };
  world.backend.while_parked(next);
  world.executor.block_on(echo_for_ever(source));
  CHECK(echoed == messages);
  // The first read of all finds nothing, the last one the end.
  const std::uint64_t told = world.told(2);
  CHECK(world.calls_since() ==
        Calls{.control = told, .waits = messages + 1, .reads = messages + 2, .sends = messages});
  CHECK(state_of(world.executor) == State{.polls = messages + 2, .completed = 1});
}

TEMPLATE_TEST_CASE("of a byte stream a short read is the last one; of other files EAGAIN is", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  const FdKind kind = GENERATE(FdKind::byte_stream, FdKind::any);
  const bool is_stream = kind == FdKind::byte_stream;
  FdSource source(sockets.reader(), kind);
  sockets.write("abc");
  auto first = world.start(read_text(source, 8));
  CHECK(world.result(first) == "abc");
  CHECK(world.calls_since() == Calls{.reads = 1});  // the system call comes first
  auto second = world.start(read_text(source, 8));
  const std::uint64_t told = world.told(2);
  CHECK(world.calls_since() == Calls{.control = told, .waits = 1, .reads = is_stream ? 0U : 1U});
  sockets.write("defghijklm");
  CHECK(world.result(second) == "defghijk");
  CHECK(world.calls_since().reads == 1);
  auto third = world.start(read_text(source, 8));  // all of the room was filled, so there may be more
  CHECK(world.result(third) == "lm");
  CHECK(world.calls_since() == Calls{.reads = 1});
  auto fourth = world.start(read_text(source, 8));
  CHECK(world.calls_since() == Calls{.waits = 1, .reads = is_stream ? 0U : 1U});  // registered once
  CHECK(!fourth.is_finished());
}

TEMPLATE_TEST_CASE("the end of a stream is found however it comes", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  const FdKind kind = GENERATE(FdKind::byte_stream, FdKind::any);
  const bool as_pipe = GENERATE(false, true);
  std::unique_ptr<assay::test::Pair> pair;
  if (as_pipe) {
    pair = std::make_unique<Pipe>();
  } else {
    pair = std::make_unique<SocketPair>();
  }
  FdSource source(pair->reader(), kind);
  SECTION("while it waits") {
    auto task = world.start(read_text(source, 8));
    pair->close_writer();
    CHECK(world.result(task) == "");
  }
  SECTION("with the last bytes, while it waits: one event tells of both") {
    auto task = world.start(read_text(source, 8));
    pair->write("abc");
    pair->close_writer();
    CHECK(world.result(task) == "abc");
    auto end = world.start(read_text(source, 8));
    CHECK(world.result(end) == "");
  }
  SECTION("after the last bytes were read") {
    auto task = world.start(read_text(source, 8));
    pair->write("abc");
    CHECK(world.result(task) == "abc");
    pair->close_writer();
    auto end = world.start(read_text(source, 8));
    CHECK(world.result(end) == "");
  }
  SECTION("between the event and the read") {
    auto task = world.start(read_text(source, 8));
    pair->write("abc");
    // Ready, and not polled yet: the reactor has taken the event.
    world.executor.reactor().wait(-1, assay::Duration::zero());
    pair->close_writer();
    CHECK(world.result(task) == "abc");
    auto end = world.start(read_text(source, 8));
    CHECK(world.result(end) == "");
  }
  SECTION("before the first read") {
    pair->write("abc");
    pair->close_writer();
    auto task = world.start(read_text(source, 8));
    CHECK(world.result(task) == "abc");
    auto end = world.start(read_text(source, 8));
    CHECK(world.result(end) == "");
  }
  for (int i = 0; i < 3; ++i) {  // and it stays so
    auto again = world.start(read_text(source, 8));
    CHECK(world.result(again) == "");
  }
  CHECK(world.executor.reactor().size() == 0);
}

TEMPLATE_TEST_CASE("half a connection closed: what the other half says is still read", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  auto task = world.start(read_text(source, 4));
  sockets.write("abcdefghij");
  checked(::shutdown(sockets.writer(), SHUT_WR), "shutdown");
  for (const char* const part : {"abcd", "efgh", "ij", ""}) {
    CHECK(world.result(task) == part);
    task = world.start(read_text(source, 4));
  }
  const IoResult put = world.executor.block_on(source.write(bytes_of("still")));
  CHECK(put == IoResult{5, 0});
}

TEMPLATE_TEST_CASE("a write that does not all go in: the rest waits until there is room", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  const FdKind kind = GENERATE(FdKind::byte_stream, FdKind::any);
  const bool as_pipe = GENERATE(false, true);
  std::unique_ptr<assay::test::Pair> pair;
  if (as_pipe) {
    pair = std::make_unique<Pipe>();
  } else {
    pair = std::make_unique<SocketPair>();
  }
  FdSource source(pair->writer(), kind);
  const auto write_all = [](FdSource& to, std::size_t count) -> Async<std::size_t> {
    const std::string text(count, 'x');
    std::span<const std::byte> left = bytes_of(text);
    std::size_t calls = 0;
    while (!left.empty()) {
      const IoResult put = co_await to.write(left);
      if (put.error != 0) co_return 0;
      left = left.subspan(put.bytes);
      ++calls;
    }
    co_return calls;
  };
  constexpr std::size_t count = 3'000'000;
  JoinHandle<std::size_t> task = world.executor.spawn(write_all, std::ref(source), count);
  std::size_t got = 0;
  int rounds = 0;
  while (got < count && rounds < 10'000) {
    world.executor.run_until_stalled();
    got += pair->read().size();
    ++rounds;
  }
  CHECK(got == count);
  CHECK(world.result(task) > std::size_t{2});
  CHECK(world.calls_since().sends >= (as_pipe ? 1U : 2U));
}

TEMPLATE_TEST_CASE("errors: told, and without a signal", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  SECTION("the other end is gone: EPIPE, and no SIGPIPE") {
    auto reader = world.start(read_text(source, 8));
    sockets.close_writer();
    CHECK(world.executor.block_on(source.write(bytes_of("x"))) == IoResult{0, EPIPE});
    CHECK(world.result(reader) == "");
  }
  SECTION("injected: EINTR is retried, others are told") {
    sockets.write("abc");
    world.backend.calls().fail(SystemCall::read, EINTR, 0, 3);
    auto first = world.start(read_text(source, 8));
    CHECK(world.result(first) == "abc");
    CHECK(world.backend.calls().failed(SystemCall::read) == 3);
    world.backend.calls().fail(SystemCall::send, EINTR, 0, 3);
    CHECK(world.executor.block_on(source.write(bytes_of("x"))) == IoResult{1, 0});
    sockets.write("def");
    world.backend.calls().fail(SystemCall::read, ECONNRESET);
    auto second = world.start(read_text(source, 8));
    CHECK(world.result(second) == "error " + std::to_string(ECONNRESET));
    auto third = world.start(read_text(source, 8));
    CHECK(world.result(third) == "def");
  }
  SECTION("EAGAIN though it was readable: it waits on, and nothing is lost") {
    auto task = world.start(read_text(source, 8));
    sockets.write("abc");
    sockets.read();
    CHECK(world.result(task) == std::nullopt);
    sockets.write("def");
    // Gone between the event and the read: spurious readiness.
    world.executor.reactor().wait(-1, assay::Duration::zero());
    std::array<char, 8> taken{};
    CHECK(::read(sockets.reader(), taken.data(), taken.size()) == 3);
    CHECK(world.result(task) == std::nullopt);
    sockets.write("ghi");
    CHECK(world.result(task) == "ghi");
  }
}

TEMPLATE_TEST_CASE("a closed number: the call says so", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  int number = -1;
  {
    Pipe gone;
    number = checked(::fcntl(gone.reader(), F_DUPFD_CLOEXEC, 200), "fcntl");
    ::close(number);
  }
  FdSource source(number);
  CHECK(world.executor.block_on(source.read(world.buffer)) == IoResult{0, EBADF});
  source.clear_readable();
  CHECK(world.executor.block_on(source.read(world.buffer)) == IoResult{0, EBADF});
}

TEMPLATE_TEST_CASE("a reader and a writer at the same time: each for its own", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  auto full = world.start([](FdSource& to) -> Async<std::size_t> {
    const std::string text(4096, 'x');
    std::size_t all = 0;
    for (int i = 0; i < 1000; ++i) {
      const IoResult put = co_await to.write(bytes_of(text));
      all += put.bytes;
    }
    co_return all;
  }(source));
  CHECK(!full.is_finished());
  auto reader = world.start(read_text(source, 8));
  CHECK(world.executor.reactor().size() == 2);
  sockets.write("abc");
  CHECK(world.result(reader) == "abc");
  CHECK(!full.is_finished());
  CHECK(world.executor.reactor().size() == 1);
  reader = world.start(read_text(source, 8));
  std::array<char, 4096> bytes{};
  std::size_t drained = 0;
  for (int i = 0; i < 100'000 && !full.is_finished(); ++i) {
    for (ssize_t got = 0; (got = ::read(sockets.writer(), bytes.data(), bytes.size())) > 0;) {
      drained += static_cast<std::size_t>(got);
    }
    world.executor.run_until_stalled();
  }
  CHECK(world.result(full) >= drained);
  CHECK(!reader.is_finished());
  sockets.close_writer();
  CHECK(world.result(reader).has_value());
}

TEMPLATE_TEST_CASE("a future that is dropped while it waits: what comes then is there for the next", "[fd_source]",
                   REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  {
    auto dropped = world.start(read_text(source, 8));
    CHECK(world.executor.reactor().size() == 1);
  }
  CHECK(world.executor.reactor().size() == 0);
  SECTION("the event comes for nobody, and is remembered") {
    Pipe other;
    auto idle = world.start(FdEvent(other.reader(), Interest::read));  // so that the executor looks
    sockets.write("abc");
    CHECK(world.executor.run_until_stalled() == 0);
    auto task = world.start(read_text(source, 8));
    CHECK(world.result(task) == "abc");
    CHECK(!idle.is_finished());
  }
  SECTION("the event comes when the next waits") {
    sockets.write("abc");
    auto task = world.start(read_text(source, 8));
    CHECK(world.result(task) == "abc");
  }
  SECTION("dropped after it was woken") {
    auto task = std::make_unique<JoinHandle<std::string>>(world.start(read_text(source, 8)));
    sockets.write("abc");
    world.executor.reactor().wait(-1, assay::Duration::zero());
    task.reset();
    auto next = world.start(read_text(source, 8));
    CHECK(world.result(next) == "abc");
  }
  SECTION("of two readers the first takes all, and the second waits on") {
    auto first = world.start(read_text(source, 8));
    auto second = world.start(read_text(source, 8));
    sockets.write("abc");
    CHECK(world.result(first) == "abc");
    CHECK(world.result(second) == std::nullopt);
    sockets.write("def");
    CHECK(world.result(second) == "def");
  }
  CHECK(world.executor.reactor().check_deep() <= 1);
}

TEMPLATE_TEST_CASE("connections one after the other, all of one number: each is told to the kernel once", "[fd_source]",
                   REAL_BACKENDS) {
  World<TestType> world;
  int number = -1;
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    SocketPair sockets;
    if (round == 0) number = sockets.reader();
    CHECK(sockets.reader() == number);
    const bool is_left_over = round % 3 == 0;  // an event that its source never sees
    {
      FdSource source(sockets.reader(), FdKind::byte_stream);
      auto task = world.start(read_text(source, 8));
      const std::uint64_t told = world.told(round == 0 ? 2 : 1);
      CHECK(world.calls_since() == Calls{.control = told, .waits = 1, .reads = 1});
      sockets.write("abc");
      CHECK(world.result(task) == "abc");
      if (is_left_over) sockets.write("more");
      world.calls_since();
    }
    CHECK(world.executor.reactor().size() == 0);
  }
}

TEMPLATE_TEST_CASE("sources of one fd that stays open, one after the other: the kernel knows it still", "[fd_source]",
                   PollBackend, EpollBackend) {
  World<TestType> world;
  SocketPair sockets;
  for (int round = 0; round < 3; ++round) {
    FdSource source(sockets.reader(), FdKind::byte_stream);
    auto task = world.start(read_text(source, 8));
    // ADD, and the executor's wakeup fd; later ADD, which says EEXIST, and MOD.
    const std::uint64_t told = world.told(2);
    CHECK(world.calls_since() == Calls{.control = told, .waits = 1, .reads = 1});
    CHECK((world.is_epoll && world.backend.calls().calls(SystemCall::ppoll) != 0) == false);
    sockets.write("abc");
    CHECK(world.result(task) == "abc");
    world.calls_since();
  }
}

TEMPLATE_TEST_CASE("a copy of the file lives on, and its number is another's", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  Pipe pipe;
  Pipe other;
  const int number = checked(::fcntl(pipe.reader(), F_DUPFD_CLOEXEC, 100), "fcntl");
  {
    FdSource source(number, FdKind::byte_stream);
    auto task = world.start(read_text(source, 8));
    pipe.write("abc");
    CHECK(world.result(task) == "abc");
  }
  checked(::dup2(other.reader(), number), "dup2");
  FdSource source(number, FdKind::byte_stream);
  auto task = world.start(read_text(source, 8));
  world.calls_since();
  for (int i = 0; i < 20; ++i) {
    pipe.write("late");
    CHECK(world.result(task) == std::nullopt);
  }
  CHECK(world.calls_since().reads <= 1);
  other.write("new");
  CHECK(world.result(task) == "new");
  ::close(number);
}

TEMPLATE_TEST_CASE("two sources of one fd, and an FdEvent beside them", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  std::optional<FdSource> first(std::in_place, sockets.reader(), FdKind::byte_stream);
  FdSource second(sockets.reader(), FdKind::byte_stream);
  auto one = world.start(read_text(*first, 8));
  auto two = world.start(read_text(second, 8));
  sockets.write("abc");
  CHECK(world.result(one) == "abc");
  CHECK(world.result(two) == std::nullopt);
  auto event = world.start(FdEvent(sockets.reader(), Interest::read));
  sockets.write("def");
  CHECK(world.result(two) == "def");
  CHECK(world.result(event) == Readiness{.readable = true});
  SECTION("an FdEvent is level-triggered beside a source too") {
    sockets.write("ghi");
    for (int i = 0; i < 3; ++i) {
      CHECK(world.executor.block_on(FdEvent(sockets.reader(), Interest::read)) == Readiness{.readable = true});
    }
    one = world.start(read_text(*first, 8));
    CHECK(world.result(one) == "ghi");
  }
  SECTION("the first goes while others wait") {
    event = world.start(FdEvent(sockets.reader(), Interest::read));
    two = world.start(read_text(second, 8));
    first.reset();
    world.executor.check_deep();
    world.executor.run_until_stalled();
    world.executor.check_deep();
    CHECK(!event.is_finished());
    sockets.write("ghi");
    CHECK(world.result(event) == Readiness{.readable = true});
    CHECK(world.result(two) == "ghi");
  }
  SECTION("one comes while an FdEvent waits") {
    first.reset();
    event = world.start(FdEvent(sockets.reader(), Interest::read));
    first.emplace(sockets.reader(), FdKind::byte_stream);
    one = world.start(read_text(*first, 8));
    sockets.write("ghi");
    CHECK(world.result(one) == "ghi");
    CHECK(world.result(event) == Readiness{.readable = true});
  }
  CHECK(world.executor.reactor().size() == 0);
}

TEMPLATE_TEST_CASE("the backend refuses the fd: it works without", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  const FdKind kind = GENERATE(FdKind::byte_stream, FdKind::any);
  SECTION("no memory for it") {
    SocketPair sockets;
    FdSource source(sockets.reader(), kind);
    world.backend.calls().fail(SystemCall::epoll_ctl, ENOSPC, 0, assay::testkit::SystemFaults::for_ever);
    for (const char* const text : {"abc", "def", "ghi"}) {
      auto task = world.start(read_text(source, 8));
      CHECK(world.result(task) == std::nullopt);
      sockets.write(text);
      CHECK(world.result(task) == text);
    }
    auto task = world.start(read_text(source, 8));
    sockets.close_writer();
    CHECK(world.result(task) == "");
  }
  SECTION("a regular file") {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    FdSource source(::fileno(file), kind);
    CHECK(world.executor.block_on(source.write(bytes_of("abc"))) == IoResult{3, 0});
    source.clear_writable();
    CHECK(world.executor.block_on(source.write(bytes_of("def"))) == IoResult{3, 0});
    std::rewind(file);
    auto task = world.start(read_text(source, 4));
    CHECK(world.result(task) == "abcd");
    task = world.start(read_text(source, 4));
    CHECK(world.result(task) == "ef");
    task = world.start(read_text(source, 4));
    CHECK(world.result(task) == "");
    std::fclose(file);
  }
}

TEMPLATE_TEST_CASE("urgent bytes cut a read short: what comes after the mark is not forgotten", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  checked(::bind(listener, generic, size), "bind");
  checked(::listen(listener, 1), "listen");
  checked(::getsockname(listener, generic, &size), "getsockname");
  const int client = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  checked(::connect(client, generic, size), "connect");
  const int server = checked(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4");
  {
    FdSource source(server, FdKind::byte_stream);
    auto task = world.start(read_text(source, 64));
    CHECK(::send(client, "abc", 3, 0) == 3);
    CHECK(::send(client, "!", 1, MSG_OOB) == 1);
    CHECK(::send(client, "def", 3, 0) == 3);
    std::string all;
    for (int looks = 0; looks < 100 && all.size() < 6; ++looks) {
      if (const auto got = world.result(task)) {
        all += *got;
        task = world.start(read_text(source, 64));
      } else if (!becomes_readable(server)) {
        break;
      }
    }
    CHECK(all == "abcdef");
  }
  for (const int fd : {listener, client, server}) ::close(fd);
}

TEMPLATE_TEST_CASE("readable(), writable() and clear: an eventfd", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  const int bell = checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  {
    FdSource source(bell);
    const auto ring = [&] {
      const std::uint64_t one = 1;
      CHECK(::write(bell, &one, sizeof one) == sizeof one);
    };
    const auto answer = [](FdSource& to, int rounds) -> Async<void> {
      for (int i = 0; i < rounds;) {
        co_await to.readable();
        std::uint64_t count = 0;
        const ssize_t got = ::read(to.fd(), &count, sizeof count);
        to.clear_readable();  // it was all there was
        if (got == sizeof count) ++i;
      }
    };
    JoinHandle<void> task = world.executor.spawn(answer, std::ref(source), 20);
    world.executor.run_until_stalled();
    world.calls_since();
    for (int i = 0; i < 20; ++i) {
      CHECK(!task.is_finished());
      ring();
      CHECK(world.executor.run_until_stalled() == 1);
    }
    CHECK(task.is_finished());
    CHECK(world.calls_since().control == 0);
    world.executor.block_on(source.writable());
    source.clear_writable();
    world.executor.block_on(source.writable());
  }
  ::close(bell);
}

TEST_CASE("readable() on a simulated fd", "[fd_source]") {
  SimulatedBackend backend;
  Executor executor({.reactor = &backend.reactor()});
  const int fd = backend.open_socket();
  FdSource source(fd);
  executor.block_on(source.readable());  // believed
  source.clear_readable();
  JoinHandle<void> task = executor.spawn(source.readable());
  executor.run_until_stalled();
  CHECK(state_of(executor) == State{.fds = 1, .tasks = 1, .polls = 2, .completed = 1});
  backend.make_readable(fd);
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.is_finished());
  backend.close(fd);
  source.clear_writable();
  executor.block_on(source.writable());  // the call that follows says what is wrong
}

TEMPLATE_TEST_CASE("a source outlives its executor, and is used by another", "[fd_source]", REAL_BACKENDS) {
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  {
    World<TestType> gone;
    auto task = gone.start(read_text(source, 8));
    CHECK(!task.is_finished());
  }
  sockets.write("abc");
  for (int round = 0; round < 2; ++round) {
    World<TestType> world;
    auto task = world.start(read_text(source, 2));
    CHECK(world.result(task) == (round == 0 ? "ab" : "c"));
    task = world.start(read_text(source, 0));
    if (round == 1) {
      Executor other;  // back and forth
      auto there = other.spawn(read_text(source, 8));
      other.run_until_stalled();
      auto here = world.start(read_text(source, 8));
      sockets.write("d");
      CHECK(world.result(here) == "d");
      other.run_until_stalled();
      CHECK(!there.is_finished());
    }
  }
}

TEMPLATE_TEST_CASE("in a foreign loop", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  const int fd = world.executor.pollable_fd();
  JoinHandle<void> task = world.executor.spawn(echo_for_ever(source));
  world.executor.run_until_stalled();
  for (int i = 0; i < 20; ++i) {
    CHECK(!assay::test::is_readable(fd));
    sockets.write("abc");
    CHECK(becomes_readable(fd));
    CHECK(world.executor.run_until_stalled() == 1);
    std::array<char, 8> bytes{};
    CHECK(::read(sockets.writer(), bytes.data(), bytes.size()) == 3);
  }
  sockets.close_writer();
  CHECK(becomes_readable(fd));
  world.executor.run_until_stalled();
  CHECK(task.is_finished());
  CHECK(!assay::test::is_readable(fd));
}

TEMPLATE_TEST_CASE("reading and writing allocate nothing", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  SocketPair sockets;
  FdSource source(sockets.reader(), FdKind::byte_stream);
  JoinHandle<void> task = world.executor.spawn(echo_for_ever(source));
  const auto turn = [&] {
    static_cast<void>(::write(sockets.writer(), "x", 1));
    const std::size_t polls = world.executor.run_until_stalled();
    char byte = 0;
    return ::read(sockets.writer(), &byte, 1) == 1 ? polls : 0;
  };
  turn();
  turn();
  const std::uint64_t before = assay::testkit::allocation_counts().news;
  std::uint64_t polls = 0;
  for (int i = 0; i < 100; ++i) polls += turn();
  CHECK(assay::testkit::allocation_counts().news == before);
  CHECK(polls == 100);
}

TEMPLATE_TEST_CASE("random bytes through many pairs, in random pieces: all arrive, in order", "[fd_source]", REAL_BACKENDS) {
  World<TestType> world;
  std::mt19937 random(GENERATE(1U, 2U, 3U));
  constexpr std::size_t pairs = 6;
  const std::size_t total = assay::test::scaled(200'000, 20'000);
  struct Stream {
    std::unique_ptr<assay::test::Pair> pair;
    std::optional<FdSource> reader;
    std::optional<FdSource> writer;
    std::uint64_t seed = 0;
  };
  std::vector<Stream> streams(pairs);
  const auto pattern = [](std::uint64_t seed, std::size_t at) { return static_cast<std::byte>((seed * 31 + at * 7 + at / 251) % 256); };
  const auto send = [&](Stream& stream, std::uint64_t seed) -> Async<bool> {
    std::mt19937 pieces(static_cast<std::uint32_t>(seed));
    std::vector<std::byte> bytes;
    for (std::size_t at = 0; at < total;) {
      const std::size_t count = std::min<std::size_t>(total - at, pieces() % 9000 + 1);
      bytes.clear();
      for (std::size_t i = 0; i < count; ++i) bytes.push_back(pattern(seed, at + i));
      const IoResult put = co_await stream.writer->write(bytes);
      if (put.error != 0) co_return false;
      at += put.bytes;
      const bool pauses = pieces() % 3 == 0;
      if (pauses) co_await assay::yield_now();
    }
    stream.writer.reset();
    stream.pair->close_writer();
    co_return true;
  };
  const auto receive = [&](Stream& stream, std::uint64_t seed) -> Async<std::size_t> {
    std::mt19937 pieces(static_cast<std::uint32_t>(seed + 99));
    std::vector<std::byte> bytes(9000);
    for (std::size_t at = 0;;) {
      const IoResult got = co_await stream.reader->read(std::span(bytes).first(pieces() % 9000 + 1));
      if (got.error != 0) co_return 0;
      if (got.bytes == 0) co_return at;
      for (std::size_t i = 0; i < got.bytes; ++i, ++at) {
        if (bytes.at(i) != pattern(seed, at)) co_return 0;
      }
      const bool pauses = pieces() % 3 == 0;
      if (pauses) co_await assay::yield_now();
    }
  };
  std::vector<JoinHandle<bool>> senders;
  std::vector<JoinHandle<std::size_t>> receivers;
  for (Stream& stream : streams) {
    if (random() % 2 == 0) {
      stream.pair = std::make_unique<Pipe>();
    } else {
      stream.pair = std::make_unique<SocketPair>();
    }
    const FdKind kind = random() % 2 == 0 ? FdKind::any : FdKind::byte_stream;
    stream.reader.emplace(stream.pair->reader(), kind);
    stream.writer.emplace(stream.pair->writer(), kind);
    stream.seed = random();
    senders.push_back(world.executor.spawn(send, std::ref(stream), stream.seed));
    receivers.push_back(world.executor.spawn(receive, std::ref(stream), stream.seed));
  }
  for (auto& task : senders) CHECK(world.executor.block_on(task));
  for (auto& task : receivers) CHECK(world.executor.block_on(task) == total);
  CHECK(world.executor.reactor().check_deep() == 0);
}

TEST_CASE("what nobody may do with a source aborts with a line", "[fd_source]") {
  check_dies("FdSource was given a negative file descriptor", [] { const FdSource source(-1); });
  check_dies("an FdSource was moved after its first use", [] {
    SocketPair sockets;
    Executor executor;
    FdSource source(sockets.reader());
    executor.block_on(source.readable());
    const FdSource moved(std::move(source));
  });
  check_dies("an FdSource was moved after its first use", [] {
    SocketPair sockets;
    FdSource source(sockets.reader());
    const auto borrowing = source.readable();
    const FdSource moved(std::move(source));
  });
  check_dies("an FdSource was destroyed while a read, a write or a wait of it was under way, or about to be", [] {
    SocketPair sockets;
    auto source = std::make_unique<FdSource>(sockets.reader());
    const auto borrowing = source->readable();
    source.reset();
  });
  check_dies("a future was polled after it was moved from", [] {
    SocketPair sockets;
    Executor executor;
    FdSource source(sockets.reader());
    auto first = source.readable();
    auto second = std::move(first);
    executor.block_on(first);
  });
  check_dies("an FdSource was used outside an Executor (in run()?); it needs Executor::block_on", [] {
    SocketPair sockets;
    FdSource source(sockets.reader());
    assay::run(source.readable());
  });
  check_dies("a wait for an fd was begun or destroyed on another thread than its executor's", [] {
    SocketPair sockets;
    Executor executor;
    auto source = std::make_unique<FdSource>(sockets.reader());
    executor.block_on(source->readable());
    std::thread([&] { source.reset(); }).join();
  });
  SocketPair sockets;
  FdSource first(sockets.reader());
  std::optional<FdSource> source(std::move(first));
  Executor executor;
  auto ready = source->readable();
  executor.block_on(ready);
  source.reset();  // what has been Ready does not borrow it any more
}
