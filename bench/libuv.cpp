// libuv: an event loop with callbacks. It has no tasks, so it has only the rows about time, threads and file descriptors.
#include <uv.h>

#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

using bench::Fd;
using bench::Run;

void check(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + uv_strerror(result));
}

class Loop {
 public:
  Loop() { check(uv_loop_init(&loop_), "uv_loop_init"); }
  // Closes what is still open; callbacks of handles are not called any more, but for that.
  ~Loop() {
    uv_walk(&loop_, [](uv_handle_t* handle, void*) {
      if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
    }, nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  uv_loop_t* get() { return &loop_; }
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void run_once() { uv_run(&loop_, UV_RUN_NOWAIT); }

 private:
  uv_loop_t loop_;
};

template <class Handle>
uv_handle_t* base(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}
template <class T, class Handle>
T& owner(Handle* handle) {
  return *static_cast<T*>(handle->data);
}

// ---- Time. libuv counts in milliseconds. ---------------------------------------------------------------------------------

template <bool read_clock>
void timer(Run& run, std::uint64_t outstanding) {
  std::deque<uv_timer_t> others(outstanding);
  uv_timer_t timer;
  Loop loop;
  bench::Random random(1);
  const auto nothing = [](uv_timer_t*) {};
  for (uv_timer_t& each : others) {
    uv_timer_init(loop.get(), &each);
    uv_timer_start(&each, nothing, bench::far_delay_ns(random) / 1'000'000, 0);
  }
  uv_timer_init(loop.get(), &timer);
  std::vector<std::uint64_t> delays = bench::far_delays();
  for (std::uint64_t& each : delays) each /= 1'000'000;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    if constexpr (read_clock) uv_update_time(loop.get());
    uv_timer_start(&timer, nothing, delays[i % bench::far_delay_count], 0);
    uv_timer_stop(&timer);
  }
  run.stop();
}

void timers_fired(Run& run, std::uint64_t) {
  std::deque<uv_timer_t> timers(run.operations());
  std::uint64_t fired = 0;
  Loop loop;
  bench::Random random(1);
  const std::uint64_t start = bench::fire_start_ns(run);
  for (uv_timer_t& each : timers) {
    uv_timer_init(loop.get(), &each);
    each.data = &fired;
    const std::uint64_t due = start + random.next() % bench::fire_window_ns;
    uv_timer_start(&each, [](uv_timer_t* timer) { ++owner<std::uint64_t>(timer); }, (due - bench::now_ns()) / 1'000'000, 0);
  }
  bench::sleep_until_all_due(start + bench::second_ns / 100);  // the loop's own time may be as late as this
  run.start();
  while (fired < run.operations()) uv_run(loop.get(), UV_RUN_ONCE);
  run.stop();
}

// ---- Other threads -------------------------------------------------------------------------------------------------------

struct Mailbox {
  bench::Handshake handshake;
  uv_async_t bell;
  std::uint64_t left = 0;
  uv_idle_t busy;
};

void answer(uv_async_t* bell) {
  Mailbox& mailbox = owner<Mailbox>(bell);
  if (mailbox.handshake.answer() && --mailbox.left == 0) uv_stop(bell->loop);
}

void wake_parked(Run& run, std::uint64_t) {
  Mailbox mailbox;
  Loop loop;
  check(uv_async_init(loop.get(), &mailbox.bell, answer), "uv_async_init");
  mailbox.bell.data = &mailbox;
  mailbox.left = run.operations();
  std::thread other([&] {
    mailbox.handshake.request_parked(run.operations(), run.slowdown(), [&] { uv_async_send(&mailbox.bell); });
  });
  loop.run();
  other.join();
  run.add_nanoseconds(mailbox.handshake.total_ns);
}

void wake_busy(Run& run, std::uint64_t) {
  Mailbox mailbox;
  Loop loop;
  check(uv_async_init(loop.get(), &mailbox.bell, answer), "uv_async_init");
  mailbox.bell.data = &mailbox;
  mailbox.left = run.operations();
  uv_idle_init(loop.get(), &mailbox.busy);
  uv_idle_start(&mailbox.busy, [](uv_idle_t*) {});
  std::thread other([&] {
    run.start();
    for (std::uint64_t i = 1; i <= run.operations(); ++i) mailbox.handshake.request(i, [&] { uv_async_send(&mailbox.bell); });
    run.stop();
  });
  loop.run();
  other.join();
}

void wake_redundant(Run& run, std::uint64_t) {
  uv_async_t bell;
  Loop loop;
  check(uv_async_init(loop.get(), &bell, [](uv_async_t*) {}), "uv_async_init");
  std::thread([&] {
    uv_async_send(&bell);
    run.start();
    for (std::uint64_t i = run.operations(); i > 0; --i) uv_async_send(&bell);
    run.stop();
  }).join();
}

// ---- File descriptors ------------------------------------------------------------------------------------------------------

struct Connection {
  uv_tcp_t socket;
  uv_write_t write;
  char buffer[bench::echo_buffer_bytes];
};
struct Server {
  uv_tcp_t listener;
  std::deque<Connection> connections;
  std::uint64_t expected = 0;
};

void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t*) {
  Connection& connection = owner<Connection>(stream);
  if (got < 0) {
    uv_close(base(connection.socket), nullptr);
    return;
  }
  const uv_buf_t reply = uv_buf_init(connection.buffer, static_cast<unsigned>(got));
  // libuv's way to write without waiting; what does not fit takes the slow one.
  if (uv_try_write(stream, &reply, 1) == got) return;
  check(uv_write(&connection.write, stream, &reply, 1, nullptr), "uv_write");
}

void on_connection(uv_stream_t* stream, int status) {
  check(status, "listen");
  Server& server = owner<Server>(stream);
  Connection& connection = server.connections.emplace_back();
  check(uv_tcp_init(stream->loop, &connection.socket), "uv_tcp_init");
  connection.socket.data = &connection;
  uv_stream_t* const socket = reinterpret_cast<uv_stream_t*>(&connection.socket);
  check(uv_accept(stream, socket), "uv_accept");
  const auto give_buffer = [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    *buffer = uv_buf_init(owner<Connection>(handle).buffer, bench::echo_buffer_bytes);
  };
  check(uv_read_start(socket, give_buffer, on_read), "uv_read_start");
  if (server.connections.size() == server.expected) uv_close(base(server.listener), nullptr);
}

void echo(Run& run, std::uint64_t connections) {
  std::uint16_t port = 0;
  Fd listener = bench::listen_on_any_port(port);
  bench::EchoClient client(port, connections, run);
  run.start_counting();
  {
    Server server;
    server.expected = connections;
    Loop loop;
    check(uv_tcp_init(loop.get(), &server.listener), "uv_tcp_init");
    check(uv_tcp_open(&server.listener, listener.release()), "uv_tcp_open");
    server.listener.data = &server;
    check(uv_listen(reinterpret_cast<uv_stream_t*>(&server.listener), 1024, on_connection), "uv_listen");
    loop.run();
  }
  run.stop_counting();
  run.add_nanoseconds(client.nanoseconds());
}

// A callback that waits anew each time, as the others do.
struct Bell {
  uv_poll_t poll;
  Fd fd = bench::make_eventfd();
  std::uint64_t left = 0;
};
void wait_for(Bell& bell) {
  uv_poll_start(&bell.poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    Bell& mine = owner<Bell>(poll);
    uv_poll_stop(poll);
    bench::lower(mine.fd.number());
    if (--mine.left == 0) {
      uv_stop(poll->loop);
      return;
    }
    bench::raise(mine.fd.number());
    wait_for(mine);
  });
}
void fd_wait(Run& run, std::uint64_t idle) {
  const std::vector<Fd> fds = bench::idle_fds(idle);
  std::deque<uv_poll_t> others(idle);
  Bell bell;
  Loop loop;
  for (std::size_t i = 0; i < idle; ++i) {
    check(uv_poll_init(loop.get(), &others[i], fds[i].number()), "uv_poll_init");
    check(uv_poll_start(&others[i], UV_READABLE, [](uv_poll_t*, int, int) {}), "uv_poll_start");
  }
  check(uv_poll_init(loop.get(), &bell.poll, bell.fd.number()), "uv_poll_init");
  loop.run_once();  // all are registered
  bell.poll.data = &bell;
  bell.left = run.operations();
  run.start();
  bench::raise(bell.fd.number());
  wait_for(bell);
  loop.run();
  run.stop();
}

// ---- Memory: a handle each, on the heap --------------------------------------------------------------------------------------

void memory_connection(Run& run, std::uint64_t) {
  const auto pairs = bench::socket_pairs(run.operations());
  std::vector<std::unique_ptr<uv_poll_t>> handles;
  handles.reserve(run.operations());
  run.start_counting();
  Loop loop;
  for (const auto& pair : pairs) {
    handles.push_back(std::make_unique<uv_poll_t>());
    check(uv_poll_init(loop.get(), handles.back().get(), pair.first.number()), "uv_poll_init");
    check(uv_poll_start(handles.back().get(), UV_READABLE, [](uv_poll_t*, int, int) {}), "uv_poll_start");
  }
  loop.run_once();
  run.stop_counting();
}

void memory_timer(Run& run, std::uint64_t) {
  bench::Random random(1);
  std::vector<std::unique_ptr<uv_timer_t>> handles;
  handles.reserve(run.operations());
  run.start_counting();
  Loop loop;
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    handles.push_back(std::make_unique<uv_timer_t>());
    uv_timer_init(loop.get(), handles.back().get());
    uv_timer_start(handles.back().get(), [](uv_timer_t*) {}, bench::far_delay_ns(random) / 1'000'000, 0);
  }
  loop.run_once();
  run.stop_counting();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Row> rows = {
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
      {"memory_connection", memory_connection},
      {"memory_timer", memory_timer},
  };
  bench::add_sizes(rows, "timer", timer<false>, 0);
  const std::string no_tasks = "it has callbacks, and no tasks";
  for (const char* name :
       {"block_on_ready", "spawn_join/1", "yield/1", "yield_depth/1", "yield_depth/10", "yield_depth/100", "yield_depth/1000",
        "ping_pong", "await_child", "recursion/1000", "channel/64", "select/2", "select/64", "memory_task", "start_teardown"}) {
    rows.push_back(bench::leave_out(name, no_tasks));
  }
  for (const char* name : {"spawn_join", "yield", "channel"}) bench::leave_out_sizes(rows, name, no_tasks);
  return bench::run_program(CONTENDER, rows, argc, argv);
}
