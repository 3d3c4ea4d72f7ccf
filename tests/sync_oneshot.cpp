// Shows that a oneshot gives its value once, to whoever still wants it, in every order of send, drop, move and poll;
// and that the value is destroyed once wherever it ends.
#include <optional>
#include <vector>

#include "support/dies.hpp"
#include "support/kinds.hpp"
#include "support/probe.hpp"
#include "oneshot_sequences.hpp"
#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

struct OneThread {
  template <class T>
  using Sender = OneshotSender<T>;
  template <class T>
  using Receiver = OneshotReceiver<T>;
  template <class T>
  static auto make() {
    return oneshot<T>();
  }
};

}  // namespace

TEST_CASE("every order of operations on a oneshot", "[sync][oneshot][enum]") { check_oneshot_sequences<OneThread>(); }

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
