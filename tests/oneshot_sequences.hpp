// Every order of send, drop, move and poll on a oneshot, of whichever kind.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "support/kinds.hpp"
#include "sync_support.hpp"

namespace assay::test {

// Kind: Sender<T> and Receiver<T>, and make<T>(), which returns a pair of them.
template <class Kind>
void check_oneshot_sequences() {
  enum Operation : unsigned {
    send_value,
    drop_sender,
    move_sender,
    poll_a,
    poll_b,
    move_receiver,
    drop_receiver,
    operation_count
  };
  static constexpr const char* names[] = {"send",        "drop sender",   "move sender",  "poll with a",
                                   "poll with b", "move receiver", "drop receiver"};
  using Sender = typename Kind::template Sender<Counted>;
  using Receiver = typename Kind::template Receiver<Counted>;
  const std::uint64_t ran = for_each_sequence(operation_count, 6, [](const std::vector<unsigned>& sequence) {
    Ledger ledger;
    {
      Hand a, b;
      std::optional<Sender> sender;
      std::optional<Receiver> receiver;
      {
        auto [tx, rx] = Kind::template make<Counted>();
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
          case send_value:
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
            Sender moved(std::move(*sender));
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
            Receiver moved(std::move(*receiver));
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

}  // namespace assay::test
