// Shows the inbox by itself, below the executor: the shared word after each operation, the order of what is drained,
// the handshake of sleep and wake, what close() refuses, and the abort of each misuse.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

#include "assay/audited/inbox.hpp"
#include "support/dies.hpp"
#include "support/single_steps.hpp"

using namespace assay::audited;
using assay::test::check_dies;
using assay::test::check_dies_from_level;
#if defined(ASSAY_TEST_SINGLE_STEPS)
using assay::test::interrupted;
#endif

namespace {

class TestInbox final : public Inbox {
 public:
  ~TestInbox() = default;
  int raised = 0;
  int destroyed = 0;
  std::vector<RemoteNode*> orphans;

 private:
  void raise() noexcept override { ++raised; }
  ASSAY_RUNS_OTHERS void free_orphan(RemoteNode& node) noexcept override { orphans.push_back(&node); }
  void destroy_inbox() noexcept override { ++destroyed; }
};

constexpr std::uint64_t both = Inbox::notified | Inbox::in_inbox;

struct Seen {
  RemoteNode* node;
  std::uint64_t word;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> drain(TestInbox& inbox) {
  std::vector<Seen> all;
  inbox.drain([&](RemoteNode& node, std::uint64_t word) { all.push_back({&node, word}); });
  CHECK_FALSE(inbox.has_mail());
  CHECK(inbox.check_inbox() == 0);
  return all;
}

std::uint64_t word(const RemoteNode& node) { return node.word.load_acquire(); }

using List = std::vector<Seen>;

}  // namespace

TEST_CASE("inbox: the shared word, step by step", "[kernel][inbox]") {
  TestInbox inbox;
  RemoteNode node(inbox);
  CHECK(word(node) == 0);
  Inbox::clone(node);
  CHECK(word(node) == Inbox::one);
  Inbox::clone(node);
  CHECK(word(node) == 2 * Inbox::one);
  CHECK_FALSE(inbox.has_mail());
  Inbox::drop(node);
  CHECK(word(node) == Inbox::one);
  CHECK_FALSE(inbox.has_mail());  // not the last
  Inbox::wake_by_ref(node);
  CHECK(word(node) == (Inbox::one | both));
  CHECK(inbox.has_mail());
  Inbox::wake_by_ref(node);  // coalesces
  CHECK(word(node) == (Inbox::one | both));
  CHECK(inbox.check_inbox() == 1);
  CHECK(drain(inbox) == List{{&node, Inbox::one | both}});
  CHECK(word(node) == Inbox::one);
  CHECK(drain(inbox).empty());
  Inbox::drop(node);  // the last: a message, but no notification
  CHECK(word(node) == Inbox::in_inbox);
  CHECK(drain(inbox) == List{{&node, Inbox::in_inbox}});
  CHECK(word(node) == 0);
  CHECK(inbox.raised == 0);
  CHECK(inbox.orphans.empty());
}

TEST_CASE("inbox: a wake and the last drop make one message, in either order of sight", "[kernel][inbox]") {
  TestInbox inbox;
  RemoteNode node(inbox);
  Inbox::clone(node);
  Inbox::wake_by_ref(node);
  Inbox::drop(node);
  CHECK(drain(inbox) == List{{&node, both}});
  Inbox::clone(node);
  Inbox::wake_by_ref(node);
  CHECK(drain(inbox) == List{{&node, Inbox::one | both}});
  Inbox::drop(node);
  CHECK(drain(inbox) == List{{&node, Inbox::in_inbox}});
}

TEST_CASE("inbox: a wake that finds the message of a drop under way raises, and adds no second message", "[kernel][inbox]") {
  TestInbox inbox;
  RemoteNode node(inbox);
  Inbox::clone(node);
  Inbox::drop(node);
  CHECK(word(node) == Inbox::in_inbox);
  Inbox::clone(node);
  CHECK_FALSE(inbox.prepare_sleep());
  Inbox::wake_by_ref(node);
  CHECK(inbox.raised == 0);  // nobody sleeps
  CHECK(drain(inbox) == List{{&node, Inbox::one | both}});
  Inbox::drop(node);
  CHECK(drain(inbox) == List{{&node, Inbox::in_inbox}});
}

TEST_CASE("inbox: nodes are drained oldest first, and may come again while they are", "[kernel][inbox]") {
  TestInbox inbox;
  RemoteNode a(inbox);
  RemoteNode b(inbox);
  RemoteNode c(inbox);
  for (RemoteNode* node : {&a, &b, &c}) Inbox::clone(*node);
  for (RemoteNode* node : {&b, &a, &c, &b}) Inbox::wake_by_ref(*node);
  const std::uint64_t woken = Inbox::one | both;
  CHECK(inbox.check_inbox() == 3);
  CHECK(drain(inbox) == List{{&b, woken}, {&a, woken}, {&c, woken}});
  int again = 0;
  List seen;
  Inbox::wake_by_ref(a);
  inbox.drain([&](RemoteNode& node, std::uint64_t bits) {
    seen.push_back({&node, bits});
    if (again++ == 0) Inbox::wake_by_ref(node);
  });
  CHECK(seen == List{{&a, woken}});
  CHECK(drain(inbox) == List{{&a, woken}});
}

TEST_CASE("inbox: a sleeping owner is raised once, and not put to sleep over mail", "[kernel][inbox]") {
  TestInbox inbox;
  RemoteNode a(inbox);
  RemoteNode b(inbox);
  Inbox::clone(a);
  Inbox::clone(b);
  Inbox::wake_by_ref(a);
  CHECK(inbox.raised == 0);  // nobody sleeps
  CHECK_FALSE(inbox.prepare_sleep());
  CHECK(drain(inbox).size() == 1);
  CHECK(inbox.prepare_sleep());
  Inbox::wake_by_ref(a);
  Inbox::wake_by_ref(b);
  CHECK(inbox.raised == 1);
  inbox.finish_sleep();
  CHECK(drain(inbox).size() == 2);
  CHECK(inbox.prepare_sleep());
  inbox.finish_sleep();
  Inbox::wake_by_ref(a);
  CHECK(inbox.raised == 1);
  CHECK(drain(inbox).size() == 1);
  // The release message of a last drop does not disturb the sleep.
  CHECK(inbox.prepare_sleep());
  Inbox::drop(b);
  CHECK(inbox.raised == 1);
  inbox.finish_sleep();
  CHECK(drain(inbox).size() == 1);
}

TEST_CASE("inbox: a wake in the middle of the last drop raises the owner, which may drain before the drop is over",
          "[kernel][inbox]") {
  class Interrupted final : public Inbox {
   public:
    ~Interrupted() = default;
    int raised = 0;
    List seen;

   private:
    void raise() noexcept override {
      ++raised;
      drain([this](RemoteNode& node, std::uint64_t bits) { seen.push_back({&node, bits}); });
    }
    void free_orphan(RemoteNode&) noexcept override {}
    void destroy_inbox() noexcept override {}
  };
  Interrupted inbox;
  inbox.seen.reserve(2);  // raise() promises not to allocate
  RemoteNode node(inbox);
  Inbox::clone(node);
  node.word.fetch_add_relaxed(Inbox::notified);  // of the wake that finds IN_INBOX set by the drop, as the drop will find it
  CHECK(inbox.prepare_sleep());
  Inbox::drop(node);
  CHECK(inbox.raised == 1);
  CHECK(inbox.seen == List{{&node, Inbox::one | both}});
  CHECK(word(node) == Inbox::in_inbox);  // a second message: the first was read before the reference was gone
  inbox.seen.clear();
  inbox.drain([&](RemoteNode& which, std::uint64_t bits) { inbox.seen.push_back({&which, bits}); });
  CHECK(inbox.seen == List{{&node, Inbox::in_inbox}});
  CHECK(inbox.raised == 1);
}

#if defined(ASSAY_TEST_SINGLE_STEPS)
// Another thread's whole operation before each atomic instruction of this one's, in turn. Every order of the two, however cut:
// tests/models/.
TEST_CASE("inbox: an operation in the middle of another, before each of its atomic instructions", "[kernel][inbox]") {
  const auto at_each_atomic = [](auto&& set_up, auto&& one, auto&& other, auto&& check) {
    unsigned at = 0;
    for (bool is_inside = true; is_inside; ++at) {
      TestInbox inbox;
      RemoteNode a(inbox);
      RemoteNode b(inbox);
      set_up(inbox, a, b);
      is_inside = false;
      interrupted([&] { one(a); }, at, [&] {
        is_inside = true;
        other(a, b);
      });
      if (is_inside) check(inbox, a, b);
    }
    CHECK(at > 1);  // or nothing was interrupted
    CHECK(at < 10);
  };
  const auto clone_a = [](int copies) {
    return [copies](TestInbox&, RemoteNode& a, RemoteNode&) {
      for (int i = 0; i < copies; ++i) Inbox::clone(a);
    };
  };
  const auto wake = [](RemoteNode& a) { Inbox::wake_by_ref(a); };
  const auto drop = [](RemoteNode& a) { Inbox::drop(a); };
  const auto drained = [](std::uint64_t word_of_a) {
    return [word_of_a](TestInbox& inbox, RemoteNode& a, RemoteNode&) { CHECK(drain(inbox) == List{{&a, word_of_a}}); };
  };
  // Two wakes of one task: one message.
  at_each_atomic(clone_a(2), wake, [](RemoteNode& a, RemoteNode&) { Inbox::wake_by_ref(a); },
                      drained(2 * Inbox::one | both));
  // A drop, and the wake and drop of another Waker: woken, and nobody left.
  at_each_atomic(clone_a(2), drop,
                      [](RemoteNode& a, RemoteNode&) {
                        Inbox::wake_by_ref(a);
                        Inbox::drop(a);
                      },
                      drained(both));
  // A wake, and the drop of another Waker.
  at_each_atomic(clone_a(2), wake, [](RemoteNode& a, RemoteNode&) { Inbox::drop(a); }, drained(Inbox::one | both));
  // The last drop, whose exchange fails once, as the exchanges of some machines do for no reason. Here: one more Waker.
  at_each_atomic(clone_a(1), drop, [](RemoteNode& a, RemoteNode&) { Inbox::clone(a); },
                      [](TestInbox& inbox, RemoteNode& a, RemoteNode&) {
                        for (const Seen& seen : drain(inbox)) CHECK(seen == Seen{&a, Inbox::one | Inbox::in_inbox});
                        CHECK(word(a) == Inbox::one);
                      });
  // Two tasks pushed at one time.
  at_each_atomic(
      [](TestInbox&, RemoteNode& a, RemoteNode& b) {
        Inbox::clone(a);
        Inbox::clone(b);
      },
      wake, [](RemoteNode&, RemoteNode& b) { Inbox::wake_by_ref(b); },
      [](TestInbox& inbox, RemoteNode& a, RemoteNode& b) {
        const Seen first{&a, Inbox::one | both};
        const Seen second{&b, Inbox::one | both};
        const List got = drain(inbox);
        CHECK((got == List{first, second} || got == List{second, first}));
      });
}
#endif

TEST_CASE("inbox: after close() a wake is taken back, and the last drop owns the node", "[kernel][inbox]") {
  const bool mail_at_close = GENERATE(false, true);
  CAPTURE(mail_at_close);
  TestInbox inbox;
  RemoteNode node(inbox);
  Inbox::clone(node);
  Inbox::clone(node);
  if (mail_at_close) Inbox::wake_by_ref(node);
  List seen;
  inbox.close([&](RemoteNode& each, std::uint64_t bits) { seen.push_back({&each, bits}); });
  CHECK(seen.size() == (mail_at_close ? 1U : 0U));
  Inbox::wake_by_ref(node);
  CHECK(word(node) == 2 * Inbox::one);
  CHECK(inbox.raised == 0);
  Inbox::drop(node);
  CHECK(inbox.orphans.empty());
  Inbox::wake_by_ref(node);
  CHECK(word(node) == Inbox::one);
  Inbox::drop(node);
  CHECK(inbox.orphans == std::vector<RemoteNode*>{&node});
  CHECK(inbox.raised == 0);
}

TEST_CASE("inbox: its references are counted, and the last one ends it", "[kernel][inbox]") {
  TestInbox inbox;
  inbox.retain_inbox();
  inbox.retain_inbox();
  inbox.release_inbox();
  inbox.release_inbox();
  CHECK(inbox.destroyed == 0);
  inbox.release_inbox();
  CHECK(inbox.destroyed == 1);
  check_dies("internal: an executor's core was released twice", [&] { inbox.release_inbox(); });
}

TEST_CASE("inbox: threads wake, clone and drop; every notification is drained, every node once at the end",
          "[kernel][inbox][thread]") {
  TestInbox inbox;
  std::array<RemoteNode, 3> nodes{RemoteNode(inbox), RemoteNode(inbox), RemoteNode(inbox)};
  constexpr int rounds = 2000;
  constexpr int threads = 2;
  for (RemoteNode& node : nodes) {
    for (int i = 0; i < threads; ++i) Inbox::clone(node);
  }
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&nodes] {
      for (int round = 0; round < rounds; ++round) {
        for (RemoteNode& node : nodes) {
          Inbox::clone(node);
          Inbox::wake_by_ref(node);
          Inbox::drop(node);
        }
      }
      for (RemoteNode& node : nodes) Inbox::drop(node);
    });
  }
  std::array<int, 3> gone{};
  std::uint64_t notified = 0;
  while (gone != std::array<int, 3>{1, 1, 1}) {
    inbox.drain([&](RemoteNode& node, std::uint64_t bits) {
      if ((bits & Inbox::notified) != 0) ++notified;
      if (Inbox::count_of(bits) == 0) ++gone.at(static_cast<std::size_t>(&node - nodes.data()));
    });
    std::this_thread::yield();
  }
  for (std::thread& thread : all) thread.join();
  CHECK(notified >= 3);
  CHECK(drain(inbox).empty());
  for (const RemoteNode& node : nodes) CHECK(word(node) == 0);
}

TEST_CASE("abort: inbox misuse", "[kernel][inbox][abort]") {
  check_dies("internal: a task's Waker was dropped twice", [] {
    TestInbox inbox;
    RemoteNode node(inbox);
    Inbox::drop(node);
  });
  check_dies("too many Wakers of one task are alive", [] {
    TestInbox inbox;
    RemoteNode node(inbox);
    node.word.fetch_add_relaxed(Inbox::max_count * Inbox::one);
    Inbox::clone(node);
  });
  check_dies("internal: an inbox was used after it was closed", [] {
    TestInbox inbox;
    inbox.close([](RemoteNode&, std::uint64_t) {});
    inbox.drain([](RemoteNode&, std::uint64_t) {});
  });
  check_dies_from_level<2>("internal: a task was put into its executor's inbox twice", [] {
    TestInbox inbox;
    RemoteNode node(inbox);
    Inbox::clone(node);
    Inbox::wake_by_ref(node);
    node.word.fetch_and_acq_rel(~both);  // what the owner does, without taking it off the stack
    Inbox::wake_by_ref(node);
  });
  check_dies("internal: an inbox holds what is not its own", [] {
    TestInbox inbox;
    TestInbox other;
    RemoteNode node(inbox);
    Inbox::clone(node);
    Inbox::wake_by_ref(node);
    std::destroy_at(&node);  // and its memory is another's while it is on the stack
    std::construct_at(&node, other)->word.fetch_add_relaxed(Inbox::one | both);
    inbox.check_inbox();
  });
  check_dies("internal: an executor's core was released twice", [] {
    TestInbox inbox;
    inbox.release_inbox();
    inbox.release_inbox();
  });
  check_dies("internal: an inbox holds what is not its own", [] {
    TestInbox inbox;
    RemoteNode node(inbox);
    Inbox::clone(node);
    Inbox::wake_by_ref(node);
    node.word.fetch_and_acq_rel(~both);
    inbox.check_inbox();
  });
  check_dies("internal: a task in an inbox was not marked so", [] {
    TestInbox inbox;
    RemoteNode node(inbox);
    Inbox::clone(node);
    Inbox::wake_by_ref(node);
    node.word.fetch_and_acq_rel(~both);
    inbox.drain([](RemoteNode&, std::uint64_t) {});
  });
}
