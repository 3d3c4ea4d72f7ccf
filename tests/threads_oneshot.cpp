// Shows that a threads::oneshot does what one for a single thread does, in every order of operations; and between real threads
// that its value arrives, and that a sender hears when nobody waits any more.
#include <optional>
#include <thread>
#include <utility>

#include "assay/threads.hpp"
#include "oneshot_sequences.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct AnyThread {
  template <class T>
  using Sender = threads::OneshotSender<T>;
  template <class T>
  using Receiver = threads::OneshotReceiver<T>;
  template <class T>
  static auto make() {
    return threads::oneshot<T>();
  }
};

}  // namespace

TEST_CASE("every order of operations on a threads::oneshot", "[threads][oneshot][enum]") {
  check_oneshot_sequences<AnyThread>();
}

TEST_CASE("a threads::oneshot between a thread and a task", "[threads][oneshot]") {
  const bool is_sent = GENERATE(true, false);
  Executor executor;
  auto [sender, receiver] = threads::oneshot<int>();
  bool was_taken = false;
  std::thread other([mine = std::move(sender), is_sent, &was_taken]() mutable {
    if (is_sent) was_taken = mine.send(7);
  });
  const std::optional<int> got = executor.block_on(receiver);
  other.join();
  CHECK(was_taken == is_sent);
  CHECK(got == (is_sent ? std::optional<int>(7) : std::nullopt));
  CHECK(executor.stats().polls <= 2);
}

TEST_CASE("a sender of a threads::oneshot hears that nobody waits", "[threads][oneshot]") {
  Hand a;
  auto [sender, receiver] = threads::oneshot<int>();
  auto closed = sender.closed();
  CHECK_FALSE(a.is_ready(closed));
  CHECK(a.seen() == Seen{.kept = 1});
  SECTION("dropped") {
    { const auto gone = std::move(receiver); }
    CHECK(a.seen() == Seen{.wakes = 1});
    CHECK(a.is_ready(closed));
    CHECK(sender.is_closed());
    CHECK_FALSE(sender.send(1));
  }
  SECTION("closed") {
    receiver.close();
    CHECK(a.seen() == Seen{.wakes = 1});
    CHECK(a.is_ready(closed));
    CHECK_FALSE(sender.send(1));
    CHECK(a.poll(receiver).take() == std::nullopt);
  }
  SECTION("abandoned: it does not hear of it, and may do what it was to do") {
    receiver.abandon();
    CHECK(receiver.is_empty());
    CHECK(a.seen() == Seen{.kept = 1});
    CHECK_FALSE(a.is_ready(closed));
    CHECK(closed.is_abandoned());
    CHECK_FALSE(sender.send(1));
  }
  SECTION("it is closed after the value was sent: there is nothing to hear") {
    CHECK(sender.send(1));
    CHECK(a.seen() == Seen{});
    receiver.close();
    CHECK(a.is_ready(closed));
    CHECK_FALSE(closed.is_abandoned());
    CHECK(a.poll(receiver).take() == 1);
  }
  CHECK(a.kept() == 0);
}

TEST_CASE("what was sent dies with a threads::oneshot that nobody asks", "[threads][oneshot]") {
  Ledger ledger;
  auto [sender, receiver] = threads::oneshot<Counted>();
  CHECK(sender.send(Counted(ledger, 6)));
  CHECK(receiver.is_ready());
  CHECK(ledger.values_alive() == 1);
  SECTION("dropped") { const auto gone = std::move(receiver); }
  SECTION("abandoned") { receiver.abandon(); }
  CHECK(ledger.values_alive() == 0);
}

TEST_CASE("misuse of a threads::oneshot", "[threads][oneshot][abort]") {
  check_dies("a threads::oneshot sender was used a second time", [] {
    auto [sender, receiver] = threads::oneshot<int>();
    sender.send(1);
    sender.send(2);
  });
  check_dies("a threads::oneshot sender was used after its value was sent", [] {
    auto [sender, receiver] = threads::oneshot<int>();
    sender.send(1);
    static_cast<void>(sender.closed());
  });
  check_dies("a future was polled again after it was Ready", [] {
    Hand a;
    auto [sender, receiver] = threads::oneshot<int>();
    sender.send(1);
    static_cast<void>(a.poll(receiver));
    static_cast<void>(a.poll(receiver));
  });
  check_dies("a threads::oneshot receiver was used after it was moved from or abandoned", [] {
    auto [sender, receiver] = threads::oneshot<int>();
    receiver.abandon();
    receiver.close();
  });
}
