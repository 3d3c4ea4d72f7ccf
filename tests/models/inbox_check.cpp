// The owner checks its inbox while another thread pushes: it follows the links of what is there already, and meets nothing half done.
#include <array>

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
  void raise() noexcept override {}
  void free_orphan(RemoteNode&) noexcept override {}
  void destroy_inbox() noexcept override {}
};

struct Check : Model<Check, 2> {
  Core* core = nullptr;
  std::array<RemoteNode*, 2> nodes{};

  void before() {
    core = MODEL_NEW Core;
    for (RemoteNode*& node : nodes) {
      node = MODEL_NEW RemoteNode(*core);
      Inbox::clone(*node);
    }
    Inbox::wake_by_ref(*nodes.at(0));
  }

  void thread(unsigned index) {
    if (index == 0) {
      const std::size_t seen = core->check_inbox();
      MODEL_CHECK(seen == 1 || seen == 2);
    } else {
      Inbox::wake_by_ref(*nodes.at(1));
    }
  }

  void after() {
    MODEL_CHECK(core->check_inbox() == 2);
    for (RemoteNode* node : nodes) MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_check", [] { return assay::testkit::run_model<Check>("inbox_check"); })
