// Two and three threads wake as many tasks of an owner that sleeps when it finds nothing: each task is seen once for its wake, with what was
// written before it, and the owner never sleeps while a task waits.
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

template <unsigned producers>
struct Producers : Model<Producers<producers>, producers + 1> {
  Core* core = nullptr;
  std::array<RemoteNode*, producers> nodes{};
  std::array<sync::Cell<int>, 3> written{sync::Cell<int>(0), sync::Cell<int>(0), sync::Cell<int>(0)};

  void before() {
    core = MODEL_NEW Core;
    for (RemoteNode*& node : nodes) {
      node = MODEL_NEW RemoteNode(*core);
      Inbox::clone(*node);
    }
  }

  void owner() {
    unsigned found = 0;
    const auto seen = [&](RemoteNode& node, std::uint64_t word) {
      MODEL_CHECK((word & Inbox::notified) != 0);
      for (unsigned at = 0; at != producers; ++at) {
        if (nodes.at(at) == &node) MODEL_CHECK(written.at(at).get() == 1);
      }
      ++found;
    };
    while (found != producers) {
      core->drain(seen);
      if (found == producers || !core->prepare_sleep()) continue;
      core->eventfd.wait();
      core->finish_sleep();
    }
  }

  void thread(unsigned index) {
    if (index == producers) return owner();
    written.at(index).set(1);
    Inbox::wake_by_ref(*nodes.at(index));
  }

  void after() {
    core->drain([](RemoteNode&, std::uint64_t) { MODEL_CHECK(false); });
    for (RemoteNode* node : nodes) MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

int run_three() { return assay::testkit::run_model<Producers<3>>("inbox_three_producers", 1); }
int run_two() { return assay::testkit::run_model<Producers<2>>("inbox_producers", 3); }

#if defined(MODEL_REGISTER)
const assay::testkit::RegisteredModel deep("inbox_three_producers", run_three, true);  // a minute
#endif

}  // namespace

#if defined(MODEL_RELACY)
MODEL_MAIN("inbox_producers", [] { return run_two() + run_three(); })
#else
MODEL_MAIN("inbox_producers", run_two)
#endif
