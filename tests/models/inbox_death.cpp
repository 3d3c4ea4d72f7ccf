// Executor death against the last Waker: the owner drains once and dies, one thread wakes and drops its Waker, another drops
// its Waker. However they interleave: the task's memory and the core are freed once, nothing is touched afterwards, and a
// wake that the owner sees brings with it what the waking thread wrote before.
#include "dying_core.hpp"

namespace {

using namespace assay::test;
using assay::testkit::Model;

struct Death : Model<Death, 3> {
  State state;
  Core* core = nullptr;
  Node* node = nullptr;

  void before() {
    core = MODEL_NEW Core(state);
    node = MODEL_NEW Node(*core);
    Inbox::clone(*node);
    Inbox::clone(*node);
    core->retain_inbox();  // the group's reference
  }

  void owner() {
    bool freed = false;
    bool is_closing = false;
    const auto seen = [&](RemoteNode& which, std::uint64_t word) {
      // While the group's reference keeps the node, the owner may touch it; of one that it finds after CLOSED, with Wakers
      // left, no more than the word (inbox.hpp, invariant 4).
      if (!is_closing) static_cast<Node&>(which).body.set(4);
      if ((word & Inbox::notified) != 0) MODEL_CHECK(state.message.get() == 7);
      if (Inbox::count_of(word) != 0) return;
      core->release_inbox();
      core->free_node(which);
      freed = true;
    };
    node->body.set(2);
    core->drain(seen);
    if (!freed) node->body.set(3);
    is_closing = true;
    core->close(seen);
    core->release_inbox();
  }

  void thread(unsigned index) {
    if (index == 0) {
      owner();
    } else if (index == 1) {
      state.message.set(7);
      Inbox::wake_by_ref(*node);
      Inbox::drop(*node);
    } else {
      Inbox::drop(*node);
    }
  }

  void after() {
    MODEL_CHECK(state.nodes_freed.load_relaxed() == 1);
    MODEL_CHECK(state.cores_freed.load_relaxed() == 1);
  }
};

}  // namespace

MODEL_MAIN("inbox_death", [] { return assay::testkit::run_model<Death>("inbox_death", 4); })
