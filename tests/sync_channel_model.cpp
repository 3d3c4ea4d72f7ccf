// Shows, against a model made of deques, what a channel does in every short sequence of operations on two send futures,
// two receive futures and the two ends, at capacities 1 to 3: results, order, wakes, kept wakers, and values alive.
#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "assay_testkit/ledger.hpp"
#include "support/scale.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;
using testkit::Counted;
using testkit::Ledger;

namespace {

enum Operation : unsigned {
  poll_send_0,
  poll_send_1,
  drop_send_0,
  drop_send_1,
  try_send,
  poll_recv_0,
  poll_recv_1,
  drop_recv_0,
  drop_recv_1,
  try_recv,
  drop_sender,
  drop_receiver,
  operation_count
};
constexpr const char* names[] = {"poll send 0", "poll send 1", "drop send 0", "drop send 1",
                                 "try_send",    "poll recv 0", "poll recv 1", "drop recv 0",
                                 "drop recv 1", "try_recv",    "drop sender", "drop receiver"};

constexpr int closed = -2;
constexpr int pending = -3;

struct Model {
  enum class Send { absent, waiting, accepted, refused };
  enum class Recv { absent, waiting, woken };

  std::size_t capacity;
  std::deque<int> queue{};
  std::deque<std::size_t> sends{};
  std::deque<std::size_t> recvs{};
  std::array<Send, 2> send{};
  std::array<int, 2> value{};
  std::array<Recv, 2> recv{};
  std::array<std::uint64_t, 2> send_wakes{};
  std::array<std::uint64_t, 2> recv_wakes{};
  bool sender = true;
  bool receiver = true;

  bool open() const { return receiver && (sender || !sends.empty()); }
  void wake_receiver() {
    if (recvs.empty() || (queue.empty() && open())) return;
    const std::size_t i = recvs.front();
    recvs.pop_front();
    recv.at(i) = Recv::woken;
    ++recv_wakes.at(i);
  }
  void wake_all_if_closed() {
    while (!open() && !recvs.empty()) wake_receiver();
  }
  void push(int item) {
    queue.push_back(item);
    wake_receiver();
  }
  int pop() {
    const int item = queue.front();
    queue.pop_front();
    if (!sends.empty()) {
      const std::size_t i = sends.front();
      sends.pop_front();
      send.at(i) = Send::accepted;
      ++send_wakes.at(i);
      push(value.at(i));
      wake_all_if_closed();
    }
    return item;
  }
  bool full() const { return queue.size() == capacity || !sends.empty(); }

  std::optional<bool> poll_send(std::size_t i, int item) {
    Send& mine = send.at(i);
    if (mine == Send::waiting) return std::nullopt;
    if (mine == Send::absent && receiver && full()) {
      mine = Send::waiting;
      value.at(i) = item;
      sends.push_back(i);
      return std::nullopt;
    }
    const bool sent = mine == Send::accepted || (mine == Send::absent && receiver);
    if (mine == Send::absent && receiver) push(item);
    mine = Send::absent;
    return sent;
  }
  void drop_send(std::size_t i) {
    std::erase(sends, i);
    send.at(i) = Send::absent;
    wake_all_if_closed();
  }
  int poll_recv(std::size_t i) {
    if (queue.empty() && open()) {
      if (recv.at(i) != Recv::waiting) recvs.push_back(i);
      recv.at(i) = Recv::waiting;
      return pending;
    }
    std::erase(recvs, i);
    recv.at(i) = Recv::absent;
    return queue.empty() ? closed : pop();
  }
  void drop_recv(std::size_t i) {
    std::erase(recvs, i);
    if (std::exchange(recv.at(i), Recv::absent) == Recv::woken) wake_receiver();
  }
  void drop_sender() {
    sender = false;
    wake_all_if_closed();
  }
  void drop_receiver() {
    receiver = false;
    for (const std::size_t i : sends) {
      send.at(i) = Send::refused;
      ++send_wakes.at(i);
    }
    sends.clear();
    queue.clear();
    wake_all_if_closed();
  }
};

using SendFuture = decltype(std::declval<Sender<Counted>&>().send(std::declval<Counted>()));
using RecvFuture = decltype(std::declval<Receiver<Counted>&>().recv());

struct World {
  Ledger& ledger;
  Model model;
  std::array<Hand, 2> send_hands{};
  std::array<Hand, 2> recv_hands{};
  std::optional<Sender<Counted>> sender{};
  std::optional<Receiver<Counted>> receiver{};
  std::array<std::optional<SendFuture>, 2> sends{};
  std::array<std::optional<RecvFuture>, 2> recvs{};
  int next = 1;

  World(Ledger& counts, std::size_t capacity) : ledger(counts), model{.capacity = capacity} {
    auto [tx, rx] = channel<Counted>(capacity);
    sender.emplace(std::move(tx));
    receiver.emplace(std::move(rx));
  }

  // Null: it makes no sense here. Otherwise: what went wrong, or "".
  const char* apply(unsigned operation) {
    const std::size_t i = operation % 2;
    switch (operation) {
      case poll_send_1:
        if (!sends[0]) return nullptr;  // the same as with slot 0
        [[fallthrough]];
      case poll_send_0:
        return poll_send(operation == poll_send_1 ? 1 : 0);
      case drop_send_0:
      case drop_send_1:
        if (!sends.at(i)) return nullptr;
        sends.at(i).reset();
        model.drop_send(i);
        return "";
      case try_send: {
        if (!sender) return nullptr;
        const int item = next++;
        const bool expected = model.receiver && !model.full();
        if (expected) model.push(item);
        const std::optional<Counted> back = sender->try_send(Counted(ledger, item));
        if (back.has_value() == expected || (back && back->value() != item)) return "wrong result of try_send";
        return "";
      }
      case poll_recv_1:
        if (!recvs[0]) return nullptr;
        return poll_recv(1);
      case poll_recv_0:
        return poll_recv(0);
      case drop_recv_0:
        return drop_recv(0);
      case drop_recv_1:
        return drop_recv(1);
      case try_recv: {
        if (!receiver) return nullptr;
        const int expected = model.queue.empty() ? closed : model.pop();
        const std::optional<Counted> item = receiver->try_recv();
        return (item ? item->value() : closed) == expected ? "" : "wrong result of try_recv";
      }
      case drop_sender:
        if (!sender) return nullptr;
        sender.reset();
        model.drop_sender();
        return "";
      default:
        if (!receiver) return nullptr;
        receiver.reset();
        model.drop_receiver();
        return "";
    }
  }

  const char* poll_send(std::size_t i) {
    int item = 0;
    if (!sends.at(i)) {
      if (!sender) return nullptr;
      item = next++;
      sends.at(i).emplace(sender->send(Counted(ledger, item)));
    }
    Poll<bool> result = send_hands.at(i).poll(*sends.at(i));
    const std::optional<bool> expected = model.poll_send(i, item);
    if (result.is_ready() != expected.has_value()) return "wrong result of the poll";
    if (!expected) return "";
    sends.at(i).reset();
    return std::move(result).take() == *expected ? "" : "wrong result of send";
  }
  const char* poll_recv(std::size_t i) {
    if (!recvs.at(i)) {
      if (!receiver) return nullptr;
      recvs.at(i).emplace(receiver->recv());
    }
    Poll<std::optional<Counted>> result = recv_hands.at(i).poll(*recvs.at(i));
    const int expected = model.poll_recv(i);
    if (result.is_ready() != (expected != pending)) return "wrong result of the poll";
    if (expected == pending) return "";
    recvs.at(i).reset();
    const std::optional<Counted> item = std::move(result).take();
    return (item ? item->value() : closed) == expected ? "" : "wrong result of recv";
  }
  const char* drop_recv(std::size_t i) {
    if (!recvs.at(i)) return nullptr;
    recvs.at(i).reset();
    model.drop_recv(i);
    return "";
  }

  const char* compare() const {
    std::uint64_t values = model.queue.size();
    for (std::size_t i = 0; i < 2; ++i) {
      if (sends.at(i)) ++values;
      if (send_hands.at(i).counting.wakes() != model.send_wakes.at(i)) return "wrong number of wakes of a sender";
      if (recv_hands.at(i).counting.wakes() != model.recv_wakes.at(i)) return "wrong number of wakes of a receiver";
      if (send_hands.at(i).kept() != (model.send.at(i) == Model::Send::waiting ? 1U : 0U))
        return "wakers of a sender kept";
      if (recv_hands.at(i).kept() != (model.recv.at(i) == Model::Recv::waiting ? 1U : 0U))
        return "wakers of a receiver kept";
    }
    if (ledger.values_alive() != values) return "wrong number of values alive";
    if (receiver && receiver->size() != model.queue.size()) return "wrong size";
    if (sender && sender->is_closed() != !model.receiver) return "wrong is_closed";
    return "";
  }
};

}  // namespace

TEST_CASE("every short sequence of operations on a channel", "[sync][channel][enum]") {
  const std::size_t capacity = GENERATE(1U, 2U, 3U);
  CAPTURE(capacity);
  const std::size_t depth = scaled(100) >= 100 ? 6 : 5;
  const std::uint64_t ran = for_each_sequence(operation_count, depth, [&](const std::vector<unsigned>& sequence) {
    Ledger ledger;
    {
      World world(ledger, capacity);
      for (std::size_t step = 0; step < sequence.size(); ++step) {
        const char* wrong = world.apply(sequence[step]);
        if (wrong == nullptr) return step;
        if (*wrong == '\0') wrong = world.compare();
        if (*wrong != '\0') fail_sequence(names, sequence, step, wrong);
      }
    }
    if (!ledger.leftovers().empty()) fail_sequence(names, sequence, sequence.size(), ledger.leftovers());
    return sequence.size();
  });
  CAPTURE(ran);
  CHECK(ran > (depth == 6 ? 50'000U : 8'000U));
}
