// The naive executor (naive.hpp).
#include "naive.hpp"

#include <vector>

#include "support.hpp"

namespace {

using bench::Run;
using naive::Co;
using naive::Executor;
using naive::Waker;

Co<int> ready_child() { co_return 1; }

void block_on_ready(Run& run, std::uint64_t) {
  Executor executor;
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += executor.block_on(ready_child());
  run.stop();
  bench::keep(sum);
}

Co<int> spawn_and_join(Executor& executor, Run& run, std::uint64_t at_once) {
  std::vector<Waker> tasks;
  tasks.reserve(at_once);
  int sum = 0;
  run.start();
  for (std::uint64_t left = run.operations() / at_once; left > 0; --left) {
    for (std::uint64_t i = 0; i < at_once; ++i) tasks.push_back(executor.spawn(ready_child()));
    for (const Waker& task : tasks) {
      co_await naive::Join(*task);
      sum += task->take();
    }
    tasks.clear();
  }
  run.stop();
  co_return sum;
}
void spawn_join(Run& run, std::uint64_t at_once) {
  Executor executor;
  executor.block_on(spawn_and_join(executor, run, at_once));
}

Co<int> yielder(std::uint64_t count) {
  for (; count > 0; --count) co_await naive::Yield();
  co_return 0;
}
Co<int> yield_in(Executor& executor, Run& run, std::uint64_t count) {
  std::vector<Waker> tasks;
  tasks.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) tasks.push_back(executor.spawn(yielder(run.operations() / count)));
  co_await naive::Yield();  // all have begun
  run.start();
  for (const Waker& task : tasks) co_await naive::Join(*task);
  run.stop();
  co_return 0;
}
void yield(Run& run, std::uint64_t tasks) {
  Executor executor;
  executor.block_on(yield_in(executor, run, tasks));
}

Co<int> at_depth(std::uint64_t depth, std::uint64_t count) {
  if (depth > 1) {
    co_await at_depth(depth - 1, count);
  } else {
    co_await yielder(count);
  }
  co_return 0;
}
void yield_depth(Run& run, std::uint64_t depth) {
  Executor executor;
  run.start();
  if (depth == 1) {
    executor.block_on(yielder(run.operations()));
  } else {
    executor.block_on(at_depth(depth - 1, run.operations()));
  }
  run.stop();
}

struct Table {
  int turn = 0;
  Waker waker[2];
};
class MyTurn {
 public:
  MyTurn(Table& table, int me) : table_(table), me_(me) {}
  bool poll(const Waker& waker) {
    if (table_.turn == me_) return true;
    table_.waker[me_] = waker;
    return false;
  }

 private:
  Table& table_;
  int me_;
};
Co<int> player(Table& table, int me, std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    co_await MyTurn(table, me);
    table.turn = 1 - me;
    if (const Waker other = std::move(table.waker[1 - me])) other->wake();
  }
  co_return 0;
}
Co<int> play(Executor& executor, Run& run) {
  Table table;
  run.start();
  const Waker first = executor.spawn(player(table, 0, run.operations()));
  const Waker second = executor.spawn(player(table, 1, run.operations()));
  co_await naive::Join(*first);
  co_await naive::Join(*second);
  run.stop();
  co_return 0;
}
void ping_pong(Run& run, std::uint64_t) {
  Executor executor;
  executor.block_on(play(executor, run));
}

Co<int> await_children(Run& run) {
  int sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += co_await ready_child();
  run.stop();
  co_return sum;
}
void await_child(Run& run, std::uint64_t) { Executor().block_on(await_children(run)); }

Co<std::uint64_t> recurse(std::uint64_t depth) {
  if (depth <= 1) co_return 1;
  co_return 1 + co_await recurse(depth - 1);
}
Co<int> recurse_often(Run& run, std::uint64_t depth) {
  std::uint64_t sum = 0;
  run.start();
  for (std::uint64_t left = run.operations() / depth; left > 0; --left) sum += co_await recurse(depth);
  run.stop();
  bench::keep(sum);
  co_return 0;
}
void recursion(Run& run, std::uint64_t depth) { Executor().block_on(recurse_often(run, depth)); }

struct Mailbox {
  bench::Handshake handshake;
  Waker waker;
  std::atomic<bool> has_waker = false;

  void wait_for_waker() const {
    while (!has_waker.load(std::memory_order_acquire)) std::this_thread::yield();
  }
};
class Answer {
 public:
  explicit Answer(Mailbox& mailbox) : mailbox_(mailbox) {}
  bool poll(const Waker& waker) {
    if (!mailbox_.waker) {
      mailbox_.waker = waker;
      mailbox_.has_waker.store(true, std::memory_order_release);
    }
    return mailbox_.handshake.answer();
  }

 private:
  Mailbox& mailbox_;
};
Co<int> answer_all(Mailbox& mailbox, std::uint64_t count) {
  for (; count > 0; --count) co_await Answer(mailbox);
  co_return 0;
}
void wake_parked(Run& run, std::uint64_t) {
  Mailbox mailbox;
  std::thread other([&] {
    mailbox.wait_for_waker();
    mailbox.handshake.request_parked(run.operations(), run.slowdown(), [&] { mailbox.waker->wake(); });
  });
  Executor executor;
  executor.block_on(answer_all(mailbox, run.operations()));
  other.join();
  mailbox.waker.reset();
  run.add_nanoseconds(mailbox.handshake.total_ns);
}
Co<int> answer_while_busy(Executor& executor, Mailbox& mailbox, std::uint64_t count) {
  const Waker task = executor.spawn(answer_all(mailbox, count));
  while (!task->done()) co_await naive::Yield();
  co_return 0;
}
void wake_busy(Run& run, std::uint64_t) {
  Mailbox mailbox;
  std::thread other([&] {
    mailbox.wait_for_waker();
    run.start();
    for (std::uint64_t i = 1; i <= run.operations(); ++i) mailbox.handshake.request(i, [&] { mailbox.waker->wake(); });
    run.stop();
  });
  Executor executor;
  executor.block_on(answer_while_busy(executor, mailbox, run.operations()));
  other.join();
  mailbox.waker.reset();
}
Co<int> wake_while_held_up(Executor& executor, Run& run, Mailbox& mailbox) {
  const Waker task = executor.spawn(answer_all(mailbox, 1));
  co_await naive::Yield();
  std::thread([&] {
    mailbox.waker->wake();
    run.start();
    for (std::uint64_t i = run.operations(); i > 0; --i) mailbox.waker->wake();
    run.stop();
  }).join();
  mailbox.handshake.requested = 1;
  co_await naive::Join(*task);
  co_return 0;
}
void wake_redundant(Run& run, std::uint64_t) {
  Mailbox mailbox;
  Executor executor;
  executor.block_on(wake_while_held_up(executor, run, mailbox));
  mailbox.waker.reset();
}

Co<int> parked() {
  co_await naive::Forever();
  co_return 0;
}
void memory_task(Run& run, std::uint64_t) {
  run.start_counting();
  Executor executor;
  std::vector<Waker> tasks;  // nothing else would keep them
  for (std::uint64_t i = run.operations(); i > 0; --i) tasks.push_back(executor.spawn(parked()));
  executor.run_until_stalled();
  run.stop_counting();
}
void start_teardown(Run& run, std::uint64_t) {
  run.start();
  {
    Executor executor;
    std::vector<Waker> tasks;
    for (std::uint64_t i = run.operations(); i > 0; --i) tasks.push_back(executor.spawn(parked()));
    executor.run_until_stalled();
  }
  run.stop();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string no_time = "it has no timers";
  const std::string no_fds = "it has no file descriptors";
  const std::string no_channel = "it has no channel";
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
      bench::leave_out("channel/64", no_channel),
      bench::leave_out("select/2", "it has no select"),
      bench::leave_out("select/64", "it has no select"),
      bench::leave_out("timer/0", no_time),
      bench::leave_out("timer_clock/0", no_time),
      bench::leave_out("timer_clock/100000", no_time),
      bench::leave_out("timers_fired", no_time),
      {"wake_parked", wake_parked},
      {"wake_busy", wake_busy},
      {"wake_redundant", wake_redundant},
      bench::leave_out("echo/1", no_fds),
      bench::leave_out("echo/100", no_fds),
      bench::leave_out("fd_wait/10000", no_fds),
      {"memory_task", memory_task},
      bench::leave_out("memory_connection", no_fds),
      bench::leave_out("memory_timer", no_time),
      {"start_teardown", start_teardown},
  };
  bench::add_sizes(rows, "spawn_join", spawn_join, 1);
  bench::add_sizes(rows, "yield", yield, 4);
  bench::leave_out_sizes(rows, "timer", no_time);
  bench::leave_out_sizes(rows, "channel", no_channel);
  return bench::run_program(CONTENDER, rows, argc, argv);
}
