// A handle outlives its executor while another thread drops the task's last Waker: the owner makes the handle a reference of its
// own, closes the inbox, uses the task and gives it up. However the two interleave, the task and the core are freed once, by the last of them.
#include "dying_core.hpp"

namespace {

using namespace assay::test;
using assay::testkit::Model;

struct Orphan : Model<Orphan, 2> {
  State state;
  Core* core = nullptr;
  Node* node = nullptr;

  void before() {
    core = MODEL_NEW Core(state);
    node = MODEL_NEW Node(*core);
    Inbox::clone(*node);
    core->retain_inbox();  // the group's reference
  }

  void owner() {
    Inbox::clone(*node);  // what the owner's thread still holds
    core->close([](RemoteNode&, std::uint64_t word) { MODEL_CHECK(Inbox::count_of(word) != 0); });
    core->release_inbox();
    node->body.set(2);  // a handle is used after its executor
    Inbox::drop(*node);
  }

  void thread(unsigned index) {
    if (index == 0) return owner();
    Inbox::drop(*node);
  }

  void after() {
    MODEL_CHECK(state.nodes_freed.load_relaxed() == 1);
    MODEL_CHECK(state.cores_freed.load_relaxed() == 1);
  }
};

}  // namespace

MODEL_MAIN("inbox_orphan", [] { return assay::testkit::run_model<Orphan>("inbox_orphan"); })
