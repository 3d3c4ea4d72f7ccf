// Sleep against wake: an owner that sleeps when its inbox is empty, and a thread that wakes it. No wake is lost (the owner
// never blocks for ever), and the eventfd is raised at most once per announced sleep.
#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
 public:
  assay::testkit::Signal eventfd;
  int raises = 0;  // in this execution; threads of a model do not run at once

 private:
  void raise() noexcept override {
    ++raises;
    eventfd.set();
  }
  void free_orphan(RemoteNode&) noexcept override {}
  void destroy_inbox() noexcept override {}
};

struct Sleep : Model<Sleep, 2> {
  Core* core = nullptr;
  RemoteNode* node = nullptr;
  int announced = 0;
  sync::Cell<int> message{0};

  void before() {
    core = MODEL_NEW Core;
    announced = 0;
    node = MODEL_NEW RemoteNode(*core);
    Inbox::clone(*node);
  }

  void owner() {
    bool woken = false;
    const auto seen = [&](RemoteNode&, std::uint64_t word) {
      MODEL_CHECK((word & Inbox::notified) != 0);
      MODEL_CHECK(message.get() > 0);
      woken = true;
    };
    while (!woken) {
      core->drain(seen);
      if (woken) break;
      ++announced;
      if (!core->prepare_sleep()) continue;
      core->eventfd.wait();
      core->finish_sleep();
    }
  }

  void thread(unsigned index) {
    if (index == 0) {
      owner();
    } else {
      message.set(1);
      Inbox::wake_by_ref(*node);
    }
  }

  void after() {
    MODEL_CHECK(core->raises <= announced);
    MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_sleep", [] { return assay::testkit::run_model<Sleep>("inbox_sleep"); })
