// A core and a task of which each end is counted: for models of an executor's end.
#pragma once

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace assay::test {

using audited::Inbox;
using audited::RemoteNode;
namespace sync = testkit::sync;

struct State {
  sync::Cell<int> message{0};
  sync::Atomic<int> nodes_freed{0};
  sync::Atomic<int> cores_freed{0};
};

struct Node : RemoteNode {
  using RemoteNode::RemoteNode;
  sync::Cell<int> body{1};  // stands for the rest of the task: touched by the owner, and by whoever frees it
};

class Core final : public Inbox {
 public:
  explicit Core(State& state) : state_(state) {}
  void free_node(RemoteNode& node) {
    static_cast<Node&>(node).body.set(0);
    MODEL_DELETE static_cast<Node*>(&node);
    state_.nodes_freed.fetch_add_relaxed(1);
  }

 private:
  void raise() noexcept override {}
  void free_orphan(RemoteNode& node) noexcept override {
    free_node(node);
    release_inbox();
  }
  void destroy_inbox() noexcept override {
    state_.cores_freed.fetch_add_relaxed(1);
    MODEL_DELETE this;
  }
  State& state_;
};

}  // namespace assay::test
