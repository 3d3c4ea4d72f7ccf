// Two threads wake one task, each after it has written something. Whichever of the two wakes the owner looks at, it sees what was written
// before it; also when the other one had woken the task already, so that the second wake changed nothing (B18).
#include <array>

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
using assay::testkit::Signal;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
 public:
  Signal eventfd;

 private:
  void raise() noexcept override { eventfd.set(); }
  void free_orphan(RemoteNode&) noexcept override { MODEL_CHECK(false); }
  void destroy_inbox() noexcept override {}
};

struct Publish : Model<Publish, 3> {
  Core* core = nullptr;
  RemoteNode* node = nullptr;
  std::array<sync::Atomic<int>, 2> written{sync::Atomic<int>(0), sync::Atomic<int>(0)};

  void before() {
    core = MODEL_NEW Core;
    node = MODEL_NEW RemoteNode(*core);
    Inbox::clone(*node);
    Inbox::clone(*node);
  }

  // Polls the task until it has found both; sleeps in between. A poll that misses what a wake came with is never repeated: a deadlock.
  void owner() {
    bool done = false;
    const auto seen = [&](RemoteNode&, std::uint64_t word) {
      MODEL_CHECK((word & Inbox::notified) != 0);
      done = written[0].load_relaxed() == 1 && written[1].load_relaxed() == 1;
    };
    while (!done) {
      core->drain(seen);
      if (done || !core->prepare_sleep()) continue;
      core->eventfd.wait();
      core->finish_sleep();
    }
  }

  void thread(unsigned index) {
    if (index == 0) return owner();
    written.at(index - 1).fetch_add_relaxed(1);
    Inbox::wake_by_ref(*node);
  }

  void after() {
    core->drain([](RemoteNode&, std::uint64_t) {});
    MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_publish", [] { return assay::testkit::run_model<Publish>("inbox_publish", 3); })
