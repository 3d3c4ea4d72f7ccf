// locks only: no memory order of ours
// threads::channel: senders that wait in line, are dropped and try, against a receiver that takes, closes and goes. Items arrive
// once, in the order of each sender, with all that was written before them; who cannot send hears of it; items are destroyed
// once; and nobody waits for ever.
#include "assay_testkit/model.hpp"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "assay/run.hpp"
#include "assay/threads/channel.hpp"

namespace {

using assay::testkit::Model;
using assay::testkit::run_model;
namespace sync = assay::testkit::sync;
namespace threads = assay::threads;

int alive = 0;  // items, in this execution; threads of a model do not run at once

class Item {
 public:
  explicit Item(int number) : number_(number) { ++alive; }
  Item(Item&& other) noexcept : number_(other.number_) { ++alive; }
  Item& operator=(Item&&) noexcept = default;
  ~Item() { --alive; }
  int number() const noexcept { return number_; }

 private:
  int number_;
};

// Threads 1 and 2 send, thread 0 receives.
template <class Self, unsigned count = 2>
struct ChannelModel : Model<Self, count> {
  static constexpr std::size_t capacity = 1;
  std::array<std::optional<threads::Sender<Item>>, count> senders;  // each thread's own; that of 0 is empty
  std::optional<threads::Receiver<Item>> receiver;
  std::array<sync::Cell<int>, 2> written{sync::Cell<int>(0), sync::Cell<int>(0)};  // by thread 1, before each item

  void before() {
    alive = 0;
    auto [sender, other] = threads::channel<Item>(Self::capacity);
    receiver.emplace(std::move(other));
    for (unsigned index = 1; index != count; ++index) senders.at(index).emplace(sender);
  }
  void after() {
    for (auto& sender : senders) sender.reset();
    receiver.reset();
    MODEL_CHECK(alive == 0);
  }
  bool send(unsigned index, int number) { return assay::run(senders.at(index)->send(Item(number))); }
  // The number of the next item, or nothing.
  std::optional<int> receive() {
    const std::optional<Item> item = assay::run(receiver->recv());
    return item ? std::optional<int>(item->number()) : std::nullopt;
  }
};

// Two items in a queue that holds both.
struct Room : ChannelModel<Room> {
  static constexpr std::size_t capacity = 2;
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(receive() == 0);
      MODEL_CHECK(written[0].get() == 1);
      MODEL_CHECK(receive() == 1);
      MODEL_CHECK(written[1].get() == 1);
    } else {
      for (int number = 0; number != 2; ++number) {
        written.at(static_cast<std::size_t>(number)).set(1);
        MODEL_CHECK(send(index, number));
      }
    }
  }
};

// Two items in a queue that holds one: the second waits in line, if the first is still there.
struct Full : ChannelModel<Full> {
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(receive() == 0);
      MODEL_CHECK(receive() == 1);
      MODEL_CHECK(written[1].get() == 1);
    } else {
      MODEL_CHECK(send(index, 0));
      written[1].set(1);
      MODEL_CHECK(send(index, 1));
    }
  }
};

// The last sender goes while the receiver waits.
struct End : ChannelModel<End> {
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(receive() == 0);
      MODEL_CHECK(!receive());
      MODEL_CHECK(written[0].get() == 1);
    } else {
      MODEL_CHECK(send(index, 0));
      written[0].set(1);
      senders[1].reset();
    }
  }
};

// The receiver goes while a sender waits in line.
struct Gone : ChannelModel<Gone> {
  void before() {
    ChannelModel::before();
    MODEL_CHECK(!senders[1]->try_send(Item(7)));
  }
  void thread(unsigned index) {
    if (index == 0) {
      written[0].set(1);
      receiver.reset();
    } else {
      MODEL_CHECK(!send(index, 0));
      MODEL_CHECK(written[0].get() == 1);
    }
  }
};

// The receiver closes, and takes what has come before: no item is accepted and not received.
struct Close : ChannelModel<Close> {
  int accepted = 0;
  int received = 0;
  void thread(unsigned index) {
    if (index == 0) {
      receiver->close();
      while (receive()) ++received;
    } else {
      for (int number = 0; number != 2; ++number) accepted += send(index, number) ? 1 : 0;
    }
  }
  void after() {
    MODEL_CHECK(accepted == received);
    ChannelModel::after();
  }
};

// Two senders in a queue for one.
struct TwoSenders : ChannelModel<TwoSenders, 3> {
  void thread(unsigned index) {
    if (index == 0) {
      int sum = 0;
      while (const std::optional<int> number = receive()) sum += *number;
      MODEL_CHECK(sum == 3);
    } else {
      MODEL_CHECK(send(index, static_cast<int>(index)));
      senders.at(index).reset();
    }
  }
};

// A sender in line gives up; the other one, behind it, gets its turn.
struct GivesUp : ChannelModel<GivesUp, 3> {
  void before() {
    ChannelModel::before();
    MODEL_CHECK(!senders[1]->try_send(Item(7)));
  }
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(receive() == 7);
      const std::optional<int> next = receive();
      MODEL_CHECK(next == 1 || next == 2);
      if (next == 1) MODEL_CHECK(receive() == 2);
    } else if (index == 1) {
      const assay::Waker nobody;
      assay::Context once(nobody);
      auto waits = senders[1]->send(Item(1));
      static_cast<void>(waits.poll(once));
    } else {
      MODEL_CHECK(send(index, 2));
    }
  }
};

// Nobody waits: what does not go in comes back.
struct Tries : ChannelModel<Tries, 3> {
  std::array<int, 3> counts{};
  void thread(unsigned index) {
    if (index == 0) {
      for (int tries = 0; tries != 2; ++tries) counts[0] += receiver->try_recv() ? 1 : 0;
    } else {
      counts.at(index) += senders.at(index)->try_send(Item(0)) ? 0 : 1;
    }
  }
  void after() {
    MODEL_CHECK(counts[1] + counts[2] >= 1);
    MODEL_CHECK(counts[1] + counts[2] == counts[0] + static_cast<int>(receiver->size()));
    ChannelModel::after();
  }
};

// A receiver that waits gives up; the next one gets the item.
struct Again : ChannelModel<Again> {
  void thread(unsigned index) {
    if (index == 1) {
      written[0].set(1);
      MODEL_CHECK(send(index, 0));
      return;
    }
    {
      const assay::Waker nobody;
      assay::Context once(nobody);
      auto waits = receiver->recv();
      if (waits.poll(once).is_ready()) return;
    }
    MODEL_CHECK(receive() == 0);
    MODEL_CHECK(written[0].get() == 1);
  }
};

struct Unbounded : ChannelModel<Unbounded, 3> {
  static constexpr std::size_t capacity = std::numeric_limits<std::size_t>::max();
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(receive().has_value());
      MODEL_CHECK(receive().has_value());
    } else {
      MODEL_CHECK(!senders.at(index)->try_send(Item(0)));
    }
  }
};

}  // namespace

MODEL_MAIN("channel", [] {
  return run_model<Room>("channel_room", 3) + run_model<Full>("channel_full", 3) + run_model<End>("channel_end", 3) +
         run_model<Gone>("channel_gone", 3) + run_model<Close>("channel_close", 3) + run_model<TwoSenders>("channel_two_senders", 2) +
         run_model<GivesUp>("channel_gives_up", 2) + run_model<Tries>("channel_tries") + run_model<Again>("channel_again", 3) +
         run_model<Unbounded>("channel_unbounded", 2);
})
