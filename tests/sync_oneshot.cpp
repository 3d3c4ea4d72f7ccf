// Shows that a oneshot gives its value once, to whoever still wants it, in every order of send, drop, move and poll;
// and that the value is destroyed once wherever it ends.
#include <optional>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

enum Operation : unsigned {
  send,
  drop_sender,
  move_sender,
  poll_a,
  poll_b,
  move_receiver,
  drop_receiver,
  operation_count
};
constexpr const char* names[] = {"send",        "drop sender",   "move sender",  "poll with a",
                                 "poll with b", "move receiver", "drop receiver"};

}  // namespace

TEST_CASE("every order of operations on a oneshot", "[sync][oneshot][enum]") {
  const std::uint64_t ran = for_each_sequence(operation_count, 6, [](const std::vector<unsigned>& sequence) {
    Ledger ledger;
    {
      Hand a, b;
      std::optional<OneshotSender<Counted>> sender;
      std::optional<OneshotReceiver<Counted>> receiver;
      {
        auto [tx, rx] = oneshot<Counted>();
        sender.emplace(std::move(tx));
        receiver.emplace(std::move(rx));
      }
      bool sent = false, got = false;
      Hand* waiting = nullptr;  // whose waker is kept
      std::uint64_t wakes[2] = {0, 0};
      const auto complete = [&] {
        if (waiting != nullptr) ++wakes[waiting == &b ? 1 : 0];
        waiting = nullptr;
      };
      for (std::size_t step = 0; step < sequence.size(); ++step) {
        switch (sequence[step]) {
          case send:
            if (!sender || sent) return step;
            if (sender->send(Counted(ledger, 6)) != receiver.has_value())
              fail_sequence(names, sequence, step, "wrong result of send");
            sent = true;
            complete();
            break;
          case drop_sender:
            if (!sender) return step;
            sender.reset();
            if (!sent) complete();
            break;
          case move_sender: {
            if (!sender) return step;
            OneshotSender<Counted> moved(std::move(*sender));
            if (!sender->is_closed()) fail_sequence(names, sequence, step, "a moved-from sender is not closed");
            *sender = std::move(moved);
            break;
          }
          case poll_a:
          case poll_b: {
            if (!receiver || got) return step;
            Hand& hand = sequence[step] == poll_a ? a : b;
            Poll<std::optional<Counted>> result = hand.poll(*receiver);
            const bool expected = sent || !sender;
            if (result.is_ready() != expected) fail_sequence(names, sequence, step, "wrong result of the poll");
            if (expected) {
              const std::optional<Counted> value = std::move(result).take();
              if (value.has_value() != sent || (sent && value->value() != 6))
                fail_sequence(names, sequence, step, "wrong value");
              got = true;
            } else {
              waiting = &hand;
            }
            break;
          }
          case move_receiver: {  // also after its first poll: nothing refers to its place
            if (!receiver) return step;
            OneshotReceiver<Counted> moved(std::move(*receiver));
            *receiver = std::move(moved);
            break;
          }
          case drop_receiver:
            if (!receiver) return step;
            receiver.reset();
            waiting = nullptr;
            if (sender && !sender->is_closed()) fail_sequence(names, sequence, step, "the sender is not told");
            break;
          default:
            break;
        }
        if (a.counting.wakes() != wakes[0] || b.counting.wakes() != wakes[1])
          fail_sequence(names, sequence, step, "wrong number of wakes");
        if (a.kept() != (waiting == &a ? 1U : 0U) || b.kept() != (waiting == &b ? 1U : 0U)) {
          fail_sequence(names, sequence, step, "a waker too many or too few is kept");
        }
        if (ledger.values_alive() != (sent && !got && receiver ? 1U : 0U))
          fail_sequence(names, sequence, step, "wrong number of values");
      }
    }
    if (!ledger.leftovers().empty()) fail_sequence(names, sequence, sequence.size(), ledger.leftovers());
    return sequence.size();
  });
  CHECK(ran > 1'000);
}

TEST_CASE("assigning an end of a oneshot closes the old one", "[sync][oneshot]") {
  Hand a;
  auto [first_sender, first_receiver] = oneshot<int>();
  auto [second_sender, second_receiver] = oneshot<int>();
  CHECK(a.poll(first_receiver).is_pending());
  first_sender = std::move(second_sender);
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(a.poll(first_receiver).take() == std::nullopt);
  CHECK_FALSE(first_sender.is_closed());
  first_receiver = std::move(second_receiver);
  CHECK(first_sender.send(7));
  CHECK(a.poll(first_receiver).take() == 7);
}

TEST_CASE("a oneshot between tasks", "[sync][oneshot]") {
  Ledger ledger;
  Executor executor;
  Probe probe(executor, ledger);
  auto [sender, receiver] = oneshot<Counted>();
  const auto receive = [](OneshotReceiver<Counted> mine) -> Async<int> {
    const std::optional<Counted> value = co_await mine;
    co_return value ? value->value() : -2;
  };
  JoinHandle<int> task = executor.spawn(receive, std::move(receiver));
  CHECK(probe.step() == Step{.spawned = 1, .enqueued = 1, .live = 1});
  CHECK(executor.run_until_stalled() == 1);
  CHECK(probe.step() == Step{.polls = 1, .live = 1});
  SECTION("sent") {
    CHECK(sender.send(Counted(ledger, 6)));
    CHECK(probe.step() == Step{.local_wakes = 1, .enqueued = 1, .live = 1, .values = 1});
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == 6);
    CHECK(probe.step() == Step{.polls = 1, .completed = 1, .freed = 1});
  }
  SECTION("dropped") {
    { const auto gone = std::move(sender); }
    CHECK(executor.run_until_stalled() == 1);
    CHECK(task.try_join() == -2);
  }
  SECTION("the receiving task is cancelled, before and after the value came") {
    const bool before = GENERATE(false, true);
    if (!before) CHECK(sender.send(Counted(ledger, 6)));
    task.cancel();
    CHECK(probe.step().values == 0);
    if (before) CHECK_FALSE(sender.send(Counted(ledger, 6)));
    CHECK(sender.is_closed());
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("the ends of a oneshot may outlive the executor", "[sync][oneshot]") {
  Ledger ledger;
  auto [sender, receiver] = oneshot<Counted>();
  {
    Executor executor;
    auto poll = [](OneshotReceiver<Counted>& mine) -> Async<void> { static_cast<void>(co_await mine); };
    executor.spawn_detached(poll, std::ref(receiver));
    CHECK(executor.run_until_stalled() == 1);
  }
  CHECK(sender.send(Counted(ledger, 6)));
  Hand a;
  CHECK(a.poll(receiver).take()->value() == 6);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("misuse of a oneshot aborts", "[sync][oneshot][dies]") {
  check_dies("a oneshot sender was used a second time", [] {
    auto [sender, receiver] = oneshot<int>();
    static_cast<void>(sender.send(1));
    static_cast<void>(sender.send(2));
  });
  check_dies("polled again after it was Ready", [] {
    Hand a;
    auto [sender, receiver] = oneshot<int>();
    static_cast<void>(sender.send(1));
    static_cast<void>(a.poll(receiver));
    static_cast<void>(a.poll(receiver));
  });
  check_dies("a moved-from PinRc was used", [] {
    Hand a;
    auto [sender, receiver] = oneshot<int>();
    const auto moved = std::move(receiver);
    static_cast<void>(a.poll(receiver));
  });
}
