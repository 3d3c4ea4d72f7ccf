// assay. Built twice: with the default hardening, and with the least (bench_assay-fast).
#include "assay/assay.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

using assay::Async;
using assay::Context;
using assay::Executor;
using assay::Instant;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using bench::Fd;
using bench::Run;

// ---- One thread --------------------------------------------------------------------------------------------------------

struct ReadyNow {
  using Output = int;
  Poll<int> poll(Context&) { return Ready(1); }
};

Async<int> ready_child() { co_return 1; }

void block_on_ready(Run& run, std::uint64_t) {
  Executor executor;
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += executor.block_on(ReadyNow());
  run.stop();
  bench::keep(sum);
}

Async<void> spawn_and_join(Run& run, std::uint64_t at_once) {
  Executor& executor = co_await assay::current_executor();
  std::vector<JoinHandle<int>> handles;
  handles.reserve(at_once);
  int sum = 0;
  run.start();
  for (std::uint64_t left = run.operations() / at_once; left > 0; --left) {
    for (std::uint64_t i = 0; i < at_once; ++i) handles.push_back(executor.spawn(ready_child()));
    for (JoinHandle<int>& handle : handles) sum += co_await handle;
    handles.clear();
  }
  run.stop();
  bench::keep(sum);
}
void spawn_join(Run& run, std::uint64_t at_once) { Executor().block_on(spawn_and_join(run, at_once)); }

Async<void> yielder(std::uint64_t count) {
  for (; count > 0; --count) co_await assay::yield_now();
}
Async<void> yield_in(Run& run, std::uint64_t tasks) {
  Executor& executor = co_await assay::current_executor();
  std::vector<JoinHandle<void>> handles;
  handles.reserve(tasks);
  for (std::uint64_t i = 0; i < tasks; ++i) handles.push_back(executor.spawn(yielder(run.operations() / tasks)));
  co_await assay::yield_now();  // all have begun
  run.start();
  for (JoinHandle<void>& handle : handles) co_await handle;
  run.stop();
}
void yield(Run& run, std::uint64_t tasks) { Executor().block_on(yield_in(run, tasks)); }

Async<void> at_depth(std::uint64_t depth, std::uint64_t count) {
  if (depth > 1) {
    co_await at_depth(depth - 1, count);
  } else {
    co_await yielder(count);
  }
}
void yield_depth(Run& run, std::uint64_t depth) {
  Executor executor;
  run.start();
  // yielder() is a level of its own.
  if (depth == 1) {
    executor.block_on(yielder(run.operations()));
  } else {
    executor.block_on(at_depth(depth - 1, run.operations()));
  }
  run.stop();
}

// Whose turn it is, and who waits for it.
struct Table {
  int turn = 0;
  LocalWaker waker[2];
};
class MyTurn {
 public:
  using Output = void;
  MyTurn(Table& table, int me) : table_(table), me_(me) {}
  Poll<void> poll(Context& context) {
    if (table_.turn == me_) return Ready();
    LocalWaker& waker = table_.waker[me_];
    if (!waker.will_wake(context.local_waker())) waker = context.local_waker();
    return Pending;
  }

 private:
  Table& table_;
  int me_;
};
Async<void> player(Table& table, int me, std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    co_await MyTurn(table, me);
    table.turn = 1 - me;
    table.waker[1 - me].wake_by_ref();
  }
}
Async<void> play(Run& run, Table& table) {
  Executor& executor = co_await assay::current_executor();
  run.start();
  JoinHandle<void> first = executor.spawn(player(table, 0, run.operations()));
  JoinHandle<void> second = executor.spawn(player(table, 1, run.operations()));
  co_await first;
  co_await second;
  run.stop();
}
void ping_pong(Run& run, std::uint64_t) {
  Table table;
  Executor().block_on(play(run, table));
}

Async<void> await_children(Run& run) {
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += co_await ready_child();
  run.stop();
  bench::keep(sum);
}
void await_child(Run& run, std::uint64_t) { Executor().block_on(await_children(run)); }

Async<std::uint64_t> recurse(std::uint64_t depth) {
  if (depth <= 1) co_return 1;
  co_return 1 + co_await recurse(depth - 1);
}
Async<void> recurse_often(Run& run, std::uint64_t depth) {
  std::uint64_t sum = 0;
  run.start();
  for (std::uint64_t left = run.operations() / depth; left > 0; --left) sum += co_await recurse(depth);
  run.stop();
  bench::keep(sum);
}
void recursion(Run& run, std::uint64_t depth) { Executor().block_on(recurse_often(run, depth)); }

Async<void> produce(assay::Sender<std::uint64_t> sender, std::uint64_t count) {
  for (; count > 0; --count) co_await sender.send(count);
}
Async<void> consume(Run& run, std::uint64_t capacity) {
  Executor& executor = co_await assay::current_executor();
  auto [sender, receiver] = assay::channel<std::uint64_t>(capacity);
  std::uint64_t sum = 0;
  run.start();
  executor.spawn_detached(produce(std::move(sender), run.operations()));
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    const std::optional<std::uint64_t> item = co_await receiver.recv();
    sum += *item;
  }
  run.stop();
  bench::keep(sum);
}
void channel(Run& run, std::uint64_t capacity) { Executor().block_on(consume(run, capacity)); }

// All but the last never come; the last is ready at its second poll.
template <std::size_t... Index>
auto race(std::index_sequence<Index...>) {
  const auto never = [](std::size_t) { return assay::forever<void>(); };
  return assay::select(never(Index)..., assay::yield_now());
}
template <std::size_t count>
Async<void> race_often(Run& run) {
  std::size_t sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    const auto winner = co_await race(std::make_index_sequence<count - 1>());
    sum += winner.index();
  }
  run.stop();
  bench::keep(sum);
}
template <std::size_t count>
void select(Run& run, std::uint64_t) {
  Executor().block_on(race_often<count>(run));
}

// ---- Time --------------------------------------------------------------------------------------------------------------

Instant instant(std::uint64_t ns) { return Instant(assay::Duration(static_cast<std::int64_t>(ns))); }

// In one poll: `outstanding` timers are armed; then one more, again and again, and cancelled at once.
template <bool read_clock>
class ArmAndCancel {
 public:
  using Output = void;
  ArmAndCancel(Run& run, std::uint64_t outstanding) : run_(run), outstanding_(outstanding) {}

  Poll<void> poll(Context& context) {
    bench::Random random(1);
    const std::uint64_t now = bench::now_ns();
    std::deque<assay::TimeEvent> others;
    for (std::uint64_t i = 0; i < outstanding_; ++i) {
      static_cast<void>(others.emplace_back(instant(now + bench::far_delay_ns(random))).poll(context));
    }
    const std::vector<std::uint64_t> delays = bench::far_delays();
    run_.start();
    for (std::uint64_t i = run_.operations(); i > 0; --i) {
      const std::uint64_t delay = delays[i % bench::far_delay_count];
      if constexpr (read_clock) {
        assay::Sleep timer = assay::sleep(std::chrono::nanoseconds(delay));
        static_cast<void>(timer.poll(context));
      } else {
        assay::TimeEvent timer(instant(now + delay));
        static_cast<void>(timer.poll(context));
      }
    }
    run_.stop();
    return Ready();
  }

 private:
  Run& run_;
  std::uint64_t outstanding_;
};
template <bool read_clock>
void timer(Run& run, std::uint64_t outstanding) {
  Executor().block_on(ArmAndCancel<read_clock>(run, outstanding));
}

Async<void> fire_once(Instant deadline, std::uint64_t& left, assay::Notify& done) {
  co_await assay::sleep_until(deadline);
  if (--left == 0) done.notify_one();
}
Async<void> fire_all(Run& run, assay::Notify& done) {
  Executor& executor = co_await assay::current_executor();
  bench::Random random(1);
  std::uint64_t left = run.operations();
  const std::uint64_t start = bench::fire_start_ns(run);
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    executor.spawn_detached(fire_once(instant(start + random.next() % bench::fire_window_ns), left, done));
  }
  co_await assay::yield_now();  // all are armed
  bench::sleep_until_all_due(start);
  run.start();
  co_await done.notified();
  run.stop();
}
void timers_fired(Run& run, std::uint64_t) {
  assay::Notify done;
  Executor().block_on(fire_all(run, done));
}

// ---- Other threads -----------------------------------------------------------------------------------------------------

struct Mailbox {
  bench::Handshake handshake;
  std::optional<assay::Waker> waker;
  std::atomic<bool> has_waker = false;

  void wait_for_waker() const {
    while (!has_waker.load(std::memory_order_acquire)) std::this_thread::yield();
  }
};
// Ready at each request that it has answered.
class Answer {
 public:
  using Output = void;
  explicit Answer(Mailbox& mailbox) : mailbox_(mailbox) {}
  Poll<void> poll(Context& context) {
    if (!mailbox_.waker) {  // the task, and so its waker, stays the same
      mailbox_.waker = context.waker();
      mailbox_.has_waker.store(true, std::memory_order_release);
    }
    return mailbox_.handshake.answer() ? Poll<void>(Ready()) : Pending;
  }

 private:
  Mailbox& mailbox_;
};
Async<void> answer_all(Mailbox& mailbox, std::uint64_t count) {
  for (; count > 0; --count) co_await Answer(mailbox);
}

void wake_parked(Run& run, std::uint64_t) {
  Mailbox mailbox;
  std::thread other([&] {
    mailbox.wait_for_waker();
    mailbox.handshake.request_parked(run.operations(), run.slowdown(), [&] { mailbox.waker->wake_by_ref(); });
  });
  Executor executor;
  JoinHandle<void> task = executor.spawn(answer_all(mailbox, run.operations()));
  executor.block_on(task);
  other.join();
  mailbox.waker.reset();
  run.add_nanoseconds(mailbox.handshake.total_ns);
}

Async<void> answer_while_busy(Mailbox& mailbox, std::uint64_t count) {
  Executor& executor = co_await assay::current_executor();
  JoinHandle<void> task = executor.spawn(answer_all(mailbox, count));
  while (!task.is_finished()) co_await assay::yield_now();
}
void wake_busy(Run& run, std::uint64_t) {
  Mailbox mailbox;
  std::thread other([&] {
    mailbox.wait_for_waker();
    run.start();
    for (std::uint64_t i = 1; i <= run.operations(); ++i) mailbox.handshake.request(i, [&] { mailbox.waker->wake_by_ref(); });
    run.stop();
  });
  Executor().block_on(answer_while_busy(mailbox, run.operations()));
  other.join();
  mailbox.waker.reset();
}

// The executor is held up while another thread wakes one of its tasks again and again.
Async<void> wake_while_held_up(Run& run, Mailbox& mailbox) {
  Executor& executor = co_await assay::current_executor();
  JoinHandle<void> task = executor.spawn(answer_all(mailbox, 1));
  co_await assay::yield_now();
  std::thread([&] {
    mailbox.waker->wake_by_ref();
    run.start();
    for (std::uint64_t i = run.operations(); i > 0; --i) mailbox.waker->wake_by_ref();
    run.stop();
  }).join();
  task.cancel();
}
void wake_redundant(Run& run, std::uint64_t) {
  Mailbox mailbox;
  Executor().block_on(wake_while_held_up(run, mailbox));
  mailbox.waker.reset();
}

// ---- File descriptors --------------------------------------------------------------------------------------------------

Async<void> echo_one(Fd socket) {
  assay::FdSource source(socket.number(), assay::FdKind::byte_stream);
  std::byte buffer[bench::echo_buffer_bytes];
  for (;;) {
    const assay::IoResult got = co_await source.read(buffer);
    if (got.bytes == 0) co_return;
    const assay::IoResult put = co_await source.write(std::span(buffer).first(got.bytes));
    if (put.bytes != got.bytes) bench::fail("send");
  }
}
Async<void> echo_all(const Fd& listener, std::uint64_t connections) {
  Executor& executor = co_await assay::current_executor();
  std::vector<JoinHandle<void>> clients;
  assay::FdSource source(listener.number());
  while (clients.size() < connections) {
    co_await source.readable();
    const int number = ::accept4(listener.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (number < 0 && errno == EAGAIN) {
      source.clear_readable();
      continue;
    }
    Fd socket(number, "accept");
    clients.push_back(executor.spawn(echo_one(std::move(socket))));
  }
  for (JoinHandle<void>& client : clients) co_await client;
}
void echo(Run& run, std::uint64_t connections) {
  std::uint16_t port = 0;
  const Fd listener = bench::listen_on_any_port(port);
  bench::EchoClient client(port, connections, run);
  run.start_counting();
  Executor().block_on(echo_all(listener, connections));
  run.stop_counting();
  run.add_nanoseconds(client.nanoseconds());
}

// As a connection waits: registered, and nothing there yet.
Async<void> wait_readable(int fd) {
  assay::FdSource source(fd);
  source.clear_readable();
  co_await source.readable();
}

Async<void> wait_often(Run& run, std::uint64_t idle) {
  Executor& executor = co_await assay::current_executor();
  std::vector<Fd> fds = bench::idle_fds(idle);
  const Fd bell = bench::make_eventfd();
  assay::TaskGroup others(executor);
  for (const Fd& each : fds) others.spawn(wait_readable(each.number()));
  co_await assay::yield_now();
  assay::FdSource source(bell.number());
  source.clear_readable();
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    bench::raise(bell.number());
    co_await source.readable();
    bench::lower(bell.number());
    source.clear_readable();  // that was all
  }
  run.stop();
}
void fd_wait(Run& run, std::uint64_t idle) { Executor().block_on(wait_often(run, idle)); }

// ---- Memory ------------------------------------------------------------------------------------------------------------

Async<void> parked() { co_await assay::forever(); }

void memory_task(Run& run, std::uint64_t) {
  run.start_counting();
  Executor executor;
  for (std::uint64_t i = run.operations(); i > 0; --i) executor.spawn_detached(parked());
  executor.run_until_stalled();
  run.stop_counting();
}

void memory_connection(Run& run, std::uint64_t) {
  const auto pairs = bench::socket_pairs(run.operations());
  run.start_counting();
  Executor executor;
  for (const auto& pair : pairs) executor.spawn_detached(wait_readable(pair.first.number()));
  executor.run_until_stalled();
  run.stop_counting();
}

Async<void> sleep_until(Instant deadline) { co_await assay::sleep_until(deadline); }

void memory_timer(Run& run, std::uint64_t) {
  bench::Random random(1);
  run.start_counting();
  Executor executor;
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    executor.spawn_detached(sleep_until(instant(bench::now_ns() + bench::far_delay_ns(random))));
  }
  executor.run_until_stalled();
  run.stop_counting();
}

void start_teardown(Run& run, std::uint64_t) {
  run.start();
  {
    Executor executor;
    for (std::uint64_t i = run.operations(); i > 0; --i) executor.spawn_detached(parked());
    executor.run_until_stalled();
  }
  run.stop();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Row> rows = {
      {"block_on_ready", block_on_ready},
      {"spawn_join/1", spawn_join, 1, 1},
      {"yield/1", yield, 1, 1},
      {"yield_depth/1", yield_depth, 1},
      {"yield_depth/10", yield_depth, 10},
      {"yield_depth/100", yield_depth, 100},
      {"yield_depth/1000", yield_depth, 1000},
      {"ping_pong", ping_pong},
      {"await_child", await_child},
      {"recursion/1000", recursion, 1000, 1000},
      {"channel/64", channel, 64},
      {"select/2", select<2>},
      {"select/64", select<64>},
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
