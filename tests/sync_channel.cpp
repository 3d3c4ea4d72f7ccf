// Shows a channel between tasks: order among those who wait, closing from either end, wakes that are passed on when
// their task is cancelled, and values that are destroyed once; and the misuse that aborts.
#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("senders that wait are served in order, and none is passed", "[sync][channel]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  auto [sender, receiver] = channel<Counted>(1);
  const auto send = [&ledger](Sender<Counted> mine, int value) -> Async<bool> {
    auto sending = mine.send(Counted(ledger, value));
    co_return co_await sending;
  };
  std::vector<JoinHandle<bool>> tasks;
  for (int value = 1; value <= 4; ++value) tasks.push_back(executor.spawn(send, sender, value));
  CHECK(executor.run_until_stalled() == 4);
  CHECK(probe.step() == Step{.spawned = 4, .polls = 4, .completed = 1, .enqueued = 4, .live = 4, .values = 4});
  for (int value = 1; value <= 4; ++value) {
    const std::optional<Counted> refused = sender.try_send(Counted(ledger, 100));
    CHECK(refused.has_value());  // full, or somebody waits
    CHECK(receiver.size() == 1);
    const std::optional<Counted> item = receiver.try_recv();
    REQUIRE(item.has_value());
    CHECK(item->value() == value);
    // The next one's value is in the queue already, before its task runs.
    CHECK(probe.step().local_wakes == (value < 4 ? 1U : 0U));
    CHECK(receiver.size() == (value < 4 ? 1U : 0U));
  }
  executor.run_until_stalled();
  for (JoinHandle<bool>& task : tasks) CHECK(task.try_join() == true);
  CHECK(executor.live_tasks() == 0);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a sender that is cancelled while it waits takes its value with it", "[sync][channel]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  auto [sender, receiver] = channel<Counted>(1);
  CHECK_FALSE(sender.try_send(Counted(ledger, 1)).has_value());
  JoinHandle<bool> first = executor.spawn(sender.send(Counted(ledger, 2)));
  JoinHandle<bool> second = executor.spawn(sender.send(Counted(ledger, 3)));
  CHECK(executor.run_until_stalled() == 2);
  CHECK(probe.step() == Step{.spawned = 2, .polls = 2, .enqueued = 2, .live = 2, .values = 3});
  SECTION("before its turn") {
    first.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 2, .values = 2});
    CHECK(receiver.try_recv()->value() == 1);
    CHECK(receiver.try_recv()->value() == 3);
  }
  SECTION("but not once it is in the queue") {
    CHECK(receiver.try_recv()->value() == 1);
    CHECK(probe.step() ==
          Step{.local_wakes = 1, .enqueued = 1, .live = 2, .values = 3});  // a moved-from one among them
    first.cancel();
    CHECK(probe.step() == Step{.cancelled = 1, .live = 2, .values = 2});
    CHECK(receiver.try_recv()->value() == 2);
    CHECK(receiver.try_recv()->value() == 3);
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(second.try_join() == true);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a receive that was woken and is dropped wakes the next", "[sync][channel]") {
  Hand a, b;
  auto [sender, receiver] = channel<int>(2);
  std::optional<decltype(receiver.recv())> first(receiver.recv());
  auto second = receiver.recv();
  CHECK(a.poll(*first).is_pending());
  CHECK(b.poll(second).is_pending());
  CHECK_FALSE(sender.try_send(1).has_value());
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.kept = 1});
  SECTION("dropped") {
    first.reset();
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(b.poll(second).take() == 1);
  }
  SECTION("the item is taken before: nobody is woken for nothing") {
    CHECK(receiver.try_recv() == 1);
    first.reset();
    CHECK(b.seen() == Seen{.kept = 1});
  }
  SECTION("the item is taken before, and it waits again") {
    CHECK(receiver.try_recv() == 1);
    CHECK(a.poll(*first).is_pending());
    CHECK(a.seen() == Seen{.kept = 1});
    CHECK_FALSE(sender.try_send(2).has_value());
    CHECK(b.seen() == Seen{.wakes = 1});  // behind the other now
    CHECK(b.poll(second).take() == 2);
  }
}

TEST_CASE("the channel closes with the last sender, after what is in the queue", "[sync][channel]") {
  Executor executor;
  auto [sender, receiver] = channel<int>(4);
  const auto collect = [](Receiver<int> mine) -> Async<std::vector<int>> {
    std::vector<int> got;
    for (;;) {
      std::optional<int> next = co_await mine.recv();
      if (!next) break;
      got.push_back(*next);
    }
    co_return got;
  };
  JoinHandle<std::vector<int>> task = executor.spawn(collect, std::move(receiver));
  CHECK(executor.run_until_stalled() == 1);
  {
    Sender<int> last(sender);
    {
      Sender<int> copy(sender);
      const Sender<int> moved(std::move(copy));
      const Sender<int> first(std::move(sender));
      CHECK_FALSE(last.try_send(1).has_value());
    }
    CHECK(executor.run_until_stalled() == 1);
    CHECK_FALSE(task.is_finished());
    CHECK_FALSE(last.try_send(2).has_value());
    CHECK_FALSE(last.try_send(3).has_value());
  }
  CHECK(executor.run_until_stalled() == 1);
  CHECK(task.try_join() == std::vector<int>{1, 2, 3});
}

TEST_CASE("a send keeps the channel open until its value is in the queue, or it is dropped", "[sync][channel]") {
  Hand a, b;
  auto [sender, receiver] = channel<int>(1);
  std::optional<Sender<int>> last(std::move(sender));
  auto recv = receiver.recv();
  SECTION("not polled yet, then polled") {
    auto send = last->send(1);
    last.reset();
    CHECK(b.poll(recv).is_pending());
    CHECK(a.poll(send).take());
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(b.poll(recv).take() == 1);
    auto end = receiver.recv();
    CHECK(b.poll(end).take() == std::nullopt);  // although `send` is still there
  }
  SECTION("not polled yet, then dropped") {
    {
      const auto send = last->send(1);
      last.reset();
      CHECK(b.poll(recv).is_pending());
      CHECK(b.seen() == Seen{.kept = 1});
    }
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(b.poll(recv).take() == std::nullopt);
  }
  SECTION("in line, then taken, and not polled since") {
    CHECK_FALSE(last->try_send(0).has_value());
    auto send = last->send(1);
    CHECK(a.poll(send).is_pending());
    last.reset();
    CHECK(b.poll(recv).take() == 0);
    CHECK(a.seen() == Seen{.wakes = 1});
    auto second = receiver.recv();
    CHECK(b.poll(second).take() == 1);
    auto end = receiver.recv();
    CHECK(b.poll(end).take() == std::nullopt);
    CHECK(a.poll(send).take());
  }
}

TEST_CASE("when the receiver goes, senders are refused and values dropped", "[sync][channel]") {
  Ledger ledger;
  Hand a, b;
  std::optional<Receiver<Counted>> receiver;
  auto [sender, given] = channel<Counted>(1);
  receiver.emplace(std::move(given));
  CHECK_FALSE(sender.try_send(Counted(ledger, 1)).has_value());
  {
    auto first = sender.send(Counted(ledger, 2));
    auto second = sender.send(Counted(ledger, 3));
    auto late = sender.send(Counted(ledger, 4));
    CHECK(a.poll(first).is_pending());
    CHECK(b.poll(second).is_pending());
    CHECK(ledger.values_alive() == 4);
    receiver.reset();
    CHECK(ledger.values_alive() == 3);
    CHECK(sender.is_closed());
    CHECK(a.seen() == Seen{.wakes = 1});
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(a.poll(first).take() == false);
    CHECK(b.poll(second).take() == false);
    CHECK(a.poll(late).take() == false);
    CHECK(sender.try_send(Counted(ledger, 5)).has_value());
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("assigning a receiver closes the channel it had", "[sync][channel]") {
  auto [first_sender, first_receiver] = channel<int>(1);
  auto [second_sender, second_receiver] = channel<int>(1);
  first_receiver = std::move(second_receiver);
  CHECK(first_sender.is_closed());
  CHECK_FALSE(second_sender.is_closed());
  CHECK_FALSE(second_sender.try_send(5).has_value());
  CHECK(first_receiver.try_recv() == 5);
  auto& same = first_receiver;
  first_receiver = std::move(same);
  CHECK_FALSE(second_sender.is_closed());
}

TEST_CASE("the ends of a channel may outlive the executor", "[sync][channel]") {
  Ledger ledger;
  {
    auto [sender, receiver] = channel<Counted>(1);
    {
      Executor executor;
      CHECK_FALSE(sender.try_send(Counted(ledger, 1)).has_value());
      executor.spawn_detached(sender.send(Counted(ledger, 2)));
      executor.spawn_detached(
          [&ledger](Sender<Counted> mine) -> Async<void> {
            auto sending = mine.send(Counted(ledger, 3));
            co_await sending;
          },
          sender);
      CHECK(executor.run_until_stalled() == 2);
    }
    CHECK(receiver.try_recv()->value() == 1);
    CHECK_FALSE(receiver.try_recv().has_value());  // those who waited went with the executor
    CHECK_FALSE(sender.try_send(Counted(ledger, 4)).has_value());
    CHECK(receiver.try_recv()->value() == 4);
    CHECK_FALSE(sender.try_send(Counted(ledger, 5)).has_value());
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("many senders, one receiver, nothing lost or twice", "[sync][channel]") {
  const std::size_t capacity = GENERATE(1U, 2U, 7U);
  Executor executor;
  auto [sender, receiver] = channel<std::unique_ptr<int>>(capacity);
  constexpr int senders = 5, each = 40;
  const auto produce = [](Sender<std::unique_ptr<int>> mine, int from) -> Async<void> {
    for (int i = 0; i < each; ++i) {
      auto sending = mine.send(std::make_unique<int>(from + i));
      const bool sent = co_await sending;
      CHECK(sent);
      if (i % 3 == 0) co_await yield_now();
    }
  };
  TaskGroup group(executor);
  for (int i = 0; i < senders; ++i) group.spawn(produce, sender, i * each);
  { const auto gone = std::move(sender); }
  const auto consume = [](Receiver<std::unique_ptr<int>>& mine) -> Async<std::vector<int>> {
    std::vector<int> got;
    for (;;) {
      std::optional<std::unique_ptr<int>> item = co_await mine.recv();
      if (!item) break;
      got.push_back(**item);
    }
    co_return got;
  };
  const std::vector<int> got = executor.block_on(consume(receiver));
  executor.check_deep();
  std::array<int, senders> next{};
  for (const int value : got) {
    const auto who = static_cast<std::size_t>(value / each);
    CHECK(value % each == next.at(who)++);  // each sender's in order
  }
  CHECK(got.size() == std::size_t{senders * each});
  CHECK(group.empty());
}

TEST_CASE("misuse of a channel aborts", "[sync][channel][dies]") {
  check_dies("channel() was given a capacity of 0", [] { static_cast<void>(channel<int>(0)); });
  check_dies("moved after its first poll", [] {
    Hand a;
    auto [sender, receiver] = channel<int>(1);
    auto recv = receiver.recv();
    static_cast<void>(a.poll(recv));
    auto moved = std::move(recv);
  });
  check_dies("moved after its first poll", [] {
    Hand a;
    auto [sender, receiver] = channel<int>(1);
    auto send = sender.send(1);
    static_cast<void>(a.poll(send));
    auto moved = std::move(send);
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    auto [sender, receiver] = channel<int>(1);
    auto send = sender.send(1);
    static_cast<void>(a.poll(send));
    static_cast<void>(a.poll(send));
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    auto [sender, receiver] = channel<int>(1);
    static_cast<void>(sender.try_send(1));
    auto recv = receiver.recv();
    static_cast<void>(a.poll(recv));
    static_cast<void>(a.poll(recv));
  });
  check_dies("a channel was used on another thread than the one that made it", [] {
    auto [sender, receiver] = channel<int>(1);
    std::thread([copied = sender] {}).join();
  });
  check_dies("a Sender was used after it was moved from", [] {
    auto [sender, receiver] = channel<int>(1);
    const auto moved = std::move(sender);
    static_cast<void>(sender.try_send(1));
  });
  check_dies("a Receiver was used after it was moved from", [] {
    auto [sender, receiver] = channel<int>(1);
    const auto moved = std::move(receiver);
    static_cast<void>(receiver.try_recv());
  });
  check_survives([] {
    Hand a;
    auto [sender, receiver] = channel<int>(1);
    auto send = sender.send(1);
    auto moved = std::move(send);
    auto recv = receiver.recv();
    auto moved_recv = std::move(recv);
    if (a.poll(moved).is_pending() || a.poll(moved_recv).is_pending()) std::abort();
  });
}
