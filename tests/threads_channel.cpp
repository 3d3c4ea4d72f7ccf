// Shows that a threads::channel keeps order and bounds, and tells whom it concerns, in every short sequence of operations, against
// a model of plain lists; and between real threads that everything that is sent arrives once.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "assay/threads.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "support/scale.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// Two senders' futures and one of the receiver, polled by hand.
enum Operation : unsigned {
  poll_send_a,
  poll_send_b,
  drop_send_a,
  poll_recv,
  drop_recv,
  try_send_one,
  try_recv_one,
  close_receiver,
  drop_receiver,
  drop_sender,
  operation_count
};
constexpr const char* names[] = {"poll send a", "poll send b", "drop send a",    "poll recv",     "drop recv",
                                 "try_send",    "try_recv",    "close receiver", "drop receiver", "drop sender"};

// What a channel is, without wakers.
struct Reference {
  std::size_t capacity;
  std::deque<int> queue{};
  std::deque<unsigned> line{};  // who waits: 0 is a, 1 is b
  bool closed = false;
  bool has_sender = true;

  bool has_room() const { return queue.size() < capacity && line.empty(); }
  bool is_over() const { return queue.empty() && (closed || !has_sender); }
};

constexpr std::array<int, 2> items{10, 20};  // of a and b
constexpr int tried = 30;

struct World {
  explicit World(std::size_t capacity) : reference{.capacity = capacity} {
    auto [one, other] = threads::channel<Counted>(capacity);
    sender.emplace(std::move(one));
    receiver.emplace(std::move(other));
    for (std::size_t who : {0U, 1U}) sends.at(who).emplace(sender->send(Counted(ledger, items.at(who))));
  }

  // Returns what is wrong, or null. Empty optional: the operation makes no sense here.
  std::optional<const char*> poll_send(std::size_t who) {
    if (!sends.at(who) || answered.at(who)) return std::nullopt;
    const auto at = std::find(reference.line.begin(), reference.line.end(), who);
    std::optional<bool> expected;
    if (accepted.at(who)) {
      expected = true;
    } else if (refused.at(who)) {
      expected = false;
    } else if (at == reference.line.end()) {
      if (reference.closed || !reference.has_sender) {
        expected = false;
      } else if (reference.has_room()) {
        reference.queue.push_back(items.at(who));
        in_queue.at(who) = true;
        expected = true;
        wake_receiver();
      } else {
        reference.line.push_back(static_cast<unsigned>(who));
      }
    }
    const Poll<bool> result = hands.at(who).poll(*sends.at(who));
    kept.at(who) = result.is_pending();
    if (result.is_ready() != expected.has_value()) return "wrong result of the poll of a send";
    if (expected) {
      answered.at(who) = true;
      if (Poll<bool>(result).take() != *expected) return "wrong answer to a send";
    }
    return nullptr;
  }
  std::optional<const char*> drop_send(std::size_t who) {
    if (!sends.at(who)) return std::nullopt;
    sends.at(who).reset();
    std::erase(reference.line, static_cast<unsigned>(who));
    kept.at(who) = false;
    return nullptr;
  }
  std::optional<const char*> poll_recv() {
    if (!receiver && !recv) return std::nullopt;
    if (!recv) recv.emplace(receiver->recv());
    const std::optional<int> expected = take();
    Poll<std::optional<Counted>> result = hands[2].poll(*recv);
    receiving = result.is_pending();
    if (result.is_ready() != (expected.has_value() || reference.is_over())) return "wrong result of the poll of a recv";
    if (result.is_pending()) return nullptr;
    recv.reset();
    const std::optional<Counted> item = std::move(result).take();
    if (item.has_value() != expected.has_value() || (item && item->value() != *expected)) return "wrong item";
    return nullptr;
  }
  std::optional<const char*> drop_recv() {
    if (!recv) return std::nullopt;
    recv.reset();
    receiving = false;
    return nullptr;
  }
  std::optional<const char*> try_recv() {
    if (!receiver) return std::nullopt;
    const std::optional<int> expected = take();
    const std::optional<Counted> item = receiver->try_recv();
    if (item.has_value() != expected.has_value() || (item && item->value() != *expected)) return "wrong item of try_recv";
    return nullptr;
  }
  std::optional<const char*> try_send() {
    if (!sender) return std::nullopt;
    const bool fits = !reference.closed && reference.has_room();
    if (fits) {
      reference.queue.push_back(tried);
      wake_receiver();
    }
    const std::optional<Counted> back = sender->try_send(Counted(ledger, tried));
    if (back.has_value() == fits || (back && back->value() != tried)) return "wrong answer of try_send";
    return nullptr;
  }
  std::optional<const char*> close(bool drops) {
    if (!receiver) return std::nullopt;
    reference.closed = true;
    for (const unsigned who : reference.line) {
      refused.at(who) = true;
      wake(who);
    }
    reference.line.clear();
    wake_receiver();
    if (!drops) {
      receiver->close();
      return nullptr;
    }
    reference.queue.clear();
    receiver.reset();
    return nullptr;
  }
  std::optional<const char*> drop_sender() {
    if (!sender) return std::nullopt;
    sender.reset();
    reference.has_sender = false;
    wake_receiver();
    return nullptr;
  }

  const char* check() {
    for (std::size_t who : {0U, 1U, 2U}) {
      if (hands.at(who).counting.wakes() != wakes.at(who)) return "wrong number of wakes";
      if (hands.at(who).kept() != (who == 2 ? receiving : kept.at(who))) return "a waker too many or too few is kept";
    }
    std::size_t alive = reference.queue.size();
    for (std::size_t who : {0U, 1U}) alive += sends.at(who) && !in_queue.at(who) ? 1 : 0;
    if (receiver && receiver->size() != reference.queue.size()) return "wrong size";
    if (ledger.values_alive() != alive) return "wrong number of items";
    return nullptr;
  }
  std::optional<int> take() {
    if (reference.queue.empty()) return std::nullopt;
    const int item = reference.queue.front();
    reference.queue.pop_front();
    if (!reference.line.empty()) {
      const unsigned next = reference.line.front();
      reference.line.pop_front();
      reference.queue.push_back(items.at(next));
      accepted.at(next) = true;
      in_queue.at(next) = true;
      wake(next);
    }
    return item;
  }
  void wake(std::size_t who) {
    if (kept.at(who)) ++wakes.at(who);
    kept.at(who) = false;
  }
  void wake_receiver() {
    if (receiving) ++wakes[2];
    receiving = false;
  }

  Ledger ledger;
  std::array<Hand, 3> hands;
  Reference reference;
  std::optional<threads::Sender<Counted>> sender;
  std::optional<threads::Receiver<Counted>> receiver;
  std::array<std::optional<threads::detail::ChannelSend<Counted>>, 2> sends;
  std::optional<threads::detail::ChannelRecv<Counted>> recv;
  std::array<bool, 2> answered{};
  std::array<bool, 2> accepted{};  // while in line
  std::array<bool, 2> refused{};   // likewise
  std::array<bool, 2> in_queue{};  // its item was, at some time
  std::array<bool, 2> kept{};
  bool receiving = false;
  std::array<std::uint64_t, 3> wakes{};
};

}  // namespace

TEST_CASE("every order of operations on a threads::channel", "[threads][channel][enum]") {
  const std::size_t capacity = GENERATE(1U, 2U);
  const std::uint64_t ran = for_each_sequence(operation_count, scaled(100) >= 100 ? 5 : 4, [&](const std::vector<unsigned>& sequence) {
    std::optional<World> world(std::in_place, capacity);
    for (std::size_t step = 0; step < sequence.size(); ++step) {
      std::optional<const char*> wrong;
      switch (sequence[step]) {
        case poll_send_a:
        case poll_send_b:
          wrong = world->poll_send(sequence[step] == poll_send_a ? 0 : 1);
          break;
        case drop_send_a:
          wrong = world->drop_send(0);
          break;
        case poll_recv:
          wrong = world->poll_recv();
          break;
        case drop_recv:
          wrong = world->drop_recv();
          break;
        case try_send_one:
          wrong = world->try_send();
          break;
        case try_recv_one:
          wrong = world->try_recv();
          break;
        case close_receiver:
        case drop_receiver:
          wrong = world->close(sequence[step] == drop_receiver);
          break;
        case drop_sender:
          wrong = world->drop_sender();
          break;
        default:
          break;
      }
      if (!wrong) return step;
      if (*wrong == nullptr) wrong = world->check();
      if (*wrong != nullptr) fail_sequence(names, sequence, step, *wrong);
    }
    return sequence.size();
  });
  CHECK(ran > 5'000);
}

TEST_CASE("what is in a threads::channel dies with it", "[threads][channel]") {
  Ledger ledger;
  {
    auto [sender, receiver] = threads::unbounded_channel<Counted>();
    for (int number = 0; number != 3; ++number) CHECK_FALSE(sender.try_send(Counted(ledger, number)));
    CHECK(receiver.size() == 3);
    CHECK_FALSE(sender.is_closed());
    { const auto gone = std::move(receiver); }
    CHECK(sender.is_closed());
    CHECK(ledger.values_alive() == 0);
    CHECK(sender.try_send(Counted(ledger, 4))->value() == 4);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("the last of the Senders that are copied ends a threads::channel", "[threads][channel]") {
  Hand a;
  auto [sender, receiver] = threads::channel<int>(1);
  std::optional<threads::Sender<int>> copy(sender);
  std::optional<threads::Sender<int>> last(std::move(sender));
  auto next = receiver.recv();
  CHECK(a.poll(next).is_pending());
  last.reset();
  CHECK(a.seen() == Seen{.kept = 1});
  *copy = threads::Sender<int>(*copy);
  CHECK(a.seen() == Seen{.kept = 1});
  copy.reset();
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(a.poll(next).take() == std::nullopt);
}

TEST_CASE("threads send to a task and a thread", "[threads][channel]") {
  const std::size_t capacity = GENERATE(1U, 4U);
  const bool is_task = GENERATE(true, false);
  const int each = static_cast<int>(scaled(2'000, 50));
  constexpr int senders = 3;
  auto [sender, receiver] = threads::channel<std::pair<int, int>>(capacity);
  std::vector<std::thread> others;
  std::array<int, senders> sent{};  // by each; Catch2's checks are for one thread
  for (int who = 0; who != senders; ++who) {
    others.emplace_back([mine = sender, who, each, &count = sent.at(static_cast<std::size_t>(who))] {
      for (int number = 0; number != each; ++number) count += run(mine.send({who, number})) ? 1 : 0;
    });
  }
  { const auto gone = std::move(sender); }
  const auto receive = [](threads::Receiver<std::pair<int, int>> from) -> Async<std::array<int, senders>> {
    std::array<int, senders> next{};
    while (const std::optional<std::pair<int, int>> item = co_await from.recv()) {
      if (next.at(static_cast<std::size_t>(item->first))++ != item->second) co_return {};
    }
    co_return next;
  };
  std::array<int, senders> got{};
  if (is_task) {
    Executor executor;
    got = executor.block_on(receive, std::move(receiver));
    CHECK(executor.stats().local_wakes == 0);
  } else {
    got = run(receive(std::move(receiver)));
  }
  for (std::thread& other : others) other.join();
  CHECK(sent == std::array<int, senders>{each, each, each});
  CHECK(got == sent);
}

TEST_CASE("misuse of a threads::channel", "[threads][channel][abort]") {
  check_dies("threads::channel() was given a capacity of 0", [] { static_cast<void>(threads::channel<int>(0)); });
  check_dies("two recv() of one threads::Receiver wait at the same time", [] {
    Hand a;
    auto [sender, receiver] = threads::channel<int>(1);
    auto first = receiver.recv();
    auto second = receiver.recv();
    static_cast<void>(a.poll(first));
    static_cast<void>(a.poll(second));
  });
  check_dies("a future was polled again after it was Ready", [] {
    Hand a;
    auto [sender, receiver] = threads::channel<int>(1);
    auto send = sender.send(1);
    static_cast<void>(a.poll(send));
    static_cast<void>(a.poll(send));
  });
  check_dies("a future was moved after its first poll", [] {
    Hand a;
    auto [sender, receiver] = threads::channel<int>(1);
    auto recv = receiver.recv();
    static_cast<void>(a.poll(recv));
    const auto moved = std::move(recv);
  });
  check_dies("a threads::Sender was used after it was moved from", [] {
    auto [sender, receiver] = threads::channel<int>(1);
    const auto moved = std::move(sender);
    static_cast<void>(sender.try_send(1));
  });
  check_dies("a threads::Receiver was used after it was moved from", [] {
    auto [sender, receiver] = threads::channel<int>(1);
    const auto moved = std::move(receiver);
    static_cast<void>(receiver.try_recv());
  });
}
