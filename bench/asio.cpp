// Standalone Asio: C++20 awaitables on an io_context for one thread. It has no wakers; where a row needs one, this does what an
// Asio program would do: post a function, cancel a timer, send through a channel.
#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/channel.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using asio::awaitable;
using asio::co_spawn;
using asio::detached;
using asio::io_context;
using asio::use_awaitable;
using bench::Fd;
using bench::Run;

// Rethrows what leaves a coroutine.
const auto check = [](const std::exception_ptr& error, auto&&...) {
  if (error) std::rethrow_exception(error);
};

template <class Coroutine>
void run_all(io_context& io, Coroutine coroutine) {
  co_spawn(io, std::move(coroutine), check);
  io.restart();
  io.run();
}

// ---- One thread --------------------------------------------------------------------------------------------------------

awaitable<int> ready_child() { co_return 1; }

void block_on_ready(Run& run, std::uint64_t) {
  io_context io(1);
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    co_spawn(io, ready_child(), [&](const std::exception_ptr&, int value) { sum += value; });
    io.restart();
    io.run();
  }
  run.stop();
  bench::keep(sum);
}

// A signal between coroutines: a timer that never fires, and is cancelled.
struct Signal {
  explicit Signal(io_context& io) : timer(io, asio::steady_timer::time_point::max()) {}
  void raise() { timer.cancel(); }
  awaitable<void> wait() {
    asio::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(use_awaitable, ignored));
  }
  asio::steady_timer timer;
};

awaitable<void> spawn_one_by_one(io_context& io, Run& run) {
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += co_await co_spawn(io, ready_child(), use_awaitable);
  run.stop();
  bench::keep(sum);
}
awaitable<void> spawn_many(io_context& io, Run& run, std::uint64_t at_once) {
  int sum = 0;
  std::uint64_t left = 0;
  run.start();
  for (std::uint64_t batch = run.operations() / at_once; batch > 0; --batch) {
    Signal done(io);
    left = at_once;
    for (std::uint64_t i = 0; i < at_once; ++i) {
      co_spawn(io, ready_child(), [&](const std::exception_ptr&, int value) {
        sum += value;
        if (--left == 0) done.raise();
      });
    }
    co_await done.wait();
  }
  run.stop();
  bench::keep(sum);
}
void spawn_join(Run& run, std::uint64_t at_once) {
  io_context io(1);
  if (at_once == 1) {
    run_all(io, spawn_one_by_one(io, run));
  } else {
    run_all(io, spawn_many(io, run, at_once));
  }
}

awaitable<void> yielder(io_context& io, std::uint64_t count) {
  for (; count > 0; --count) co_await asio::post(io, use_awaitable);
}
void yield(Run& run, std::uint64_t tasks) {
  io_context io(1);
  for (std::uint64_t i = 0; i < tasks; ++i) co_spawn(io, yielder(io, run.operations() / tasks), detached);
  run.start();
  io.run();
  run.stop();
}

awaitable<void> at_depth(io_context& io, std::uint64_t depth, std::uint64_t count) {
  if (depth > 1) {
    co_await at_depth(io, depth - 1, count);
  } else {
    co_await yielder(io, count);
  }
}
void yield_depth(Run& run, std::uint64_t depth) {
  io_context io(1);
  run.start();
  if (depth == 1) {
    run_all(io, yielder(io, run.operations()));
  } else {
    run_all(io, at_depth(io, depth - 1, run.operations()));
  }
  run.stop();
}

using Turns = asio::experimental::channel<void(asio::error_code, bool)>;
awaitable<void> player(Turns& mine, Turns& theirs, std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    co_await mine.async_receive(use_awaitable);
    theirs.try_send(asio::error_code(), true);
  }
}
void ping_pong(Run& run, std::uint64_t) {
  io_context io(1);
  Turns first(io, 1);
  Turns second(io, 1);
  run.start();
  first.try_send(asio::error_code(), true);
  co_spawn(io, player(first, second, run.operations()), check);
  co_spawn(io, player(second, first, run.operations()), check);
  io.run();
  run.stop();
}

awaitable<void> await_children(Run& run) {
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += co_await ready_child();
  run.stop();
  bench::keep(sum);
}
void await_child(Run& run, std::uint64_t) {
  io_context io(1);
  run_all(io, await_children(run));
}

awaitable<std::uint64_t> recurse(std::uint64_t depth) {
  if (depth <= 1) co_return 1;
  co_return 1 + co_await recurse(depth - 1);
}
awaitable<void> recurse_often(Run& run, std::uint64_t depth) {
  std::uint64_t sum = 0;
  run.start();
  for (std::uint64_t left = run.operations() / depth; left > 0; --left) sum += co_await recurse(depth);
  run.stop();
  bench::keep(sum);
}
void recursion(Run& run, std::uint64_t depth) {
  io_context io(1);
  run_all(io, recurse_often(run, depth));
}

using Channel = asio::experimental::channel<void(asio::error_code, std::uint64_t)>;
awaitable<void> produce(Channel& channel, std::uint64_t count) {
  for (; count > 0; --count) co_await channel.async_send(asio::error_code(), count, use_awaitable);
}
awaitable<void> consume(Channel& channel, Run& run) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += co_await channel.async_receive(use_awaitable);
  bench::keep(sum);
}
void channel(Run& run, std::uint64_t capacity) {
  io_context io(1);
  Channel between(io, capacity);
  run.start();
  co_spawn(io, consume(between, run), check);
  co_spawn(io, produce(between, run.operations()), check);
  io.run();
  run.stop();
}

awaitable<void> race_often(io_context& io, Run& run) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer never(io, asio::steady_timer::time_point::max());
  std::size_t sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    const auto winner = co_await (never.async_wait(use_awaitable) || asio::post(io, use_awaitable));
    sum += winner.index();
  }
  run.stop();
  bench::keep(sum);
}
void select(Run& run, std::uint64_t) {
  io_context io(1);
  run_all(io, race_often(io, run));
}

// ---- Time --------------------------------------------------------------------------------------------------------------

asio::steady_timer::time_point instant(std::uint64_t ns) {
  return asio::steady_timer::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
}

// A cancelled wait still calls its handler: the queue is emptied after every 64.
template <bool read_clock>
void timer(Run& run, std::uint64_t outstanding) {
  io_context io(1);
  bench::Random random(1);
  const std::uint64_t now = bench::now_ns();
  std::deque<asio::steady_timer> others;
  const auto nothing = [](const asio::error_code&) {};
  for (std::uint64_t i = 0; i < outstanding; ++i) {
    others.emplace_back(io, instant(now + bench::far_delay_ns(random))).async_wait(nothing);
  }
  const std::vector<std::uint64_t> delays = bench::far_delays();
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    const std::uint64_t delay = delays[i % bench::far_delay_count];
    if constexpr (read_clock) {
      asio::steady_timer(io, std::chrono::nanoseconds(static_cast<std::int64_t>(delay))).async_wait(nothing);
    } else {
      asio::steady_timer(io, instant(now + delay)).async_wait(nothing);
    }
    if (i % 64 == 0) io.poll();
  }
  io.poll();
  run.stop();
}

awaitable<void> fire_once(io_context& io, asio::steady_timer::time_point deadline) {
  co_await asio::steady_timer(io, deadline).async_wait(use_awaitable);
}
void timers_fired(Run& run, std::uint64_t) {
  io_context io(1);
  bench::Random random(1);
  const std::uint64_t start = bench::fire_start_ns(run);
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    co_spawn(io, fire_once(io, instant(start + random.next() % bench::fire_window_ns)), check);
  }
  io.poll();  // all are armed
  bench::sleep_until_all_due(start);
  run.start();
  io.run();
  run.stop();
}

// ---- Other threads -----------------------------------------------------------------------------------------------------

void wake_parked(Run& run, std::uint64_t) {
  bench::Handshake handshake;
  io_context io(1);
  auto work = asio::make_work_guard(io);
  std::thread other([&] {
    handshake.request_parked(run.operations(), run.slowdown(), [&] { asio::post(io, [&] { handshake.answer(); }); });
    asio::post(io, [&] { work.reset(); });
  });
  io.run();
  other.join();
  run.add_nanoseconds(handshake.total_ns);
}

awaitable<void> yield_until(io_context& io, const bool& done) {
  while (!done) co_await asio::post(io, use_awaitable);
}
void wake_busy(Run& run, std::uint64_t) {
  bench::Handshake handshake;
  io_context io(1);
  bool done = false;
  co_spawn(io, yield_until(io, done), check);
  std::thread other([&] {
    run.start();
    for (std::uint64_t i = 1; i <= run.operations(); ++i) {
      handshake.request(i, [&] { asio::post(io, [&] { handshake.answer(); }); });
    }
    run.stop();
    asio::post(io, [&] { done = true; });
  });
  io.run();
  other.join();
}

// There is nothing that could be redundant: each wake is posted.
void wake_redundant(Run& run, std::uint64_t) {
  bench::Handshake handshake;
  io_context io(1);
  asio::post(io, [&] {
    std::thread([&] {
      run.start();
      for (std::uint64_t i = run.operations(); i > 0; --i) asio::post(io, [&] { handshake.answer(); });
      run.stop();
    }).join();
  });
  io.run();
}

// ---- File descriptors --------------------------------------------------------------------------------------------------

awaitable<void> echo_one(asio::ip::tcp::socket socket) {
  char buffer[bench::echo_buffer_bytes];
  for (;;) {
    asio::error_code error;
    const std::size_t got =
        co_await socket.async_read_some(asio::buffer(buffer), asio::redirect_error(use_awaitable, error));
    if (error) co_return;
    co_await asio::async_write(socket, asio::buffer(buffer, got), use_awaitable);
  }
}
awaitable<void> echo_all(io_context& io, Fd listener, std::uint64_t connections) {
  asio::ip::tcp::acceptor acceptor(io, asio::ip::tcp::v4(), listener.release());
  for (; connections > 0; --connections) {
    asio::ip::tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
    co_spawn(io, echo_one(std::move(socket)), check);
  }
}
void echo(Run& run, std::uint64_t connections) {
  std::uint16_t port = 0;
  Fd listener = bench::listen_on_any_port(port);
  bench::EchoClient client(port, connections, run);
  run.start_counting();
  {
    io_context io(1);
    run_all(io, echo_all(io, std::move(listener), connections));
  }
  run.stop_counting();
  run.add_nanoseconds(client.nanoseconds());
}

awaitable<void> wait_readable(io_context& io, Fd fd) {
  asio::posix::stream_descriptor descriptor(io, fd.release());
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, use_awaitable);
}
awaitable<void> wait_often(io_context& io, Run& run) {
  asio::posix::stream_descriptor bell(io, bench::make_eventfd().release());
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    bench::raise(bell.native_handle());
    co_await bell.async_wait(asio::posix::stream_descriptor::wait_read, use_awaitable);
    bench::lower(bell.native_handle());
  }
  run.stop();
  io.stop();
}
void fd_wait(Run& run, std::uint64_t idle) {
  io_context io(1);
  for (Fd& each : bench::idle_fds(idle)) co_spawn(io, wait_readable(io, std::move(each)), detached);
  io.poll();
  run_all(io, wait_often(io, run));
}

// ---- Memory ------------------------------------------------------------------------------------------------------------

awaitable<void> parked(io_context& io) {
  co_await asio::steady_timer(io, asio::steady_timer::time_point::max()).async_wait(use_awaitable);
}
void memory_task(Run& run, std::uint64_t) {
  run.start_counting();
  io_context io(1);
  for (std::uint64_t i = run.operations(); i > 0; --i) co_spawn(io, parked(io), detached);
  io.poll();
  run.stop_counting();
}

void memory_connection(Run& run, std::uint64_t) {
  auto pairs = bench::socket_pairs(run.operations());
  run.start_counting();
  io_context io(1);
  for (auto& pair : pairs) co_spawn(io, wait_readable(io, std::move(pair.first)), detached);
  io.poll();
  run.stop_counting();
}

void memory_timer(Run& run, std::uint64_t) {
  bench::Random random(1);
  run.start_counting();
  io_context io(1);
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    co_spawn(io, fire_once(io, instant(bench::now_ns() + bench::far_delay_ns(random))), detached);
  }
  io.poll();
  run.stop_counting();
}

void start_teardown(Run& run, std::uint64_t) {
  run.start();
  {
    io_context io(1);
    for (std::uint64_t i = run.operations(); i > 0; --i) co_spawn(io, parked(io), detached);
    io.poll();
  }
  run.stop();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Row> rows = {
      {"block_on_ready", block_on_ready},
      {"spawn_join/1", spawn_join, 1},
      {"yield/1", yield, 1},
      {"yield_depth/1", yield_depth, 1},
      {"yield_depth/10", yield_depth, 10},
      {"yield_depth/100", yield_depth, 100},
      {"yield_depth/1000", yield_depth, 1000},
      {"ping_pong", ping_pong},
      {"await_child", await_child},
      {"recursion/1000", recursion, 1000, 1000},
      {"channel/64", channel, 64},
      {"select/2", select},
      bench::leave_out("select/64", "Asio 1.22 has no group of many operations, only || for two at a time"),
      {"timer/0", timer<false>, 0},
      {"timer_clock/0", timer<true>, 0},
      {"timer_clock/100000", timer<true>, 100'000},
      {"timers_fired", timers_fired, 0, 1000},
      {"wake_parked", wake_parked},
      {"wake_busy", wake_busy},
      {"wake_redundant", wake_redundant},
      {"echo/1", echo, 1},
      {"echo/100", echo, 100},
      {"fd_wait/10000", fd_wait, 10'000},
      {"memory_task", memory_task},
      {"memory_connection", memory_connection},
      {"memory_timer", memory_timer},
      {"start_teardown", start_teardown},
  };
  bench::add_sizes(rows, "spawn_join", spawn_join, 1);
  bench::add_sizes(rows, "yield", yield, 4);
  bench::add_sizes(rows, "timer", timer<false>, 0);
  bench::add_sizes(rows, "channel", channel, 0);
  return bench::run_program(CONTENDER, rows, argc, argv);
}
