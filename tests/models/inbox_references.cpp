// The references on an inbox: each thread uses it, then gives up a reference. The last one destroys it, and every use by anybody
// happens before that.
#include <array>

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
 public:
  void use(unsigned index) { uses_.at(index).set(1); }
  int destroyed = 0;

 private:
  void raise() noexcept override {}
  void free_orphan(RemoteNode&) noexcept override {}
  void destroy_inbox() noexcept override {
    ++destroyed;
    for (auto& each : uses_) MODEL_CHECK(each.get() == 1);
  }

  std::array<sync::Cell<int>, 3> uses_{sync::Cell<int>(0), sync::Cell<int>(0), sync::Cell<int>(0)};
};

struct References : Model<References, 3> {
  Core* core = nullptr;

  void before() {
    core = MODEL_NEW Core;
    core->retain_inbox();
    core->retain_inbox();
  }

  void thread(unsigned index) {
    core->use(index);
    core->release_inbox();
  }

  void after() {
    MODEL_CHECK(core->destroyed == 1);
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_references", [] { return assay::testkit::run_model<References>("inbox_references"); })
