// The references on an inbox: each thread uses it, then gives up a reference. The last one destroys it, and every use by anybody
// happens before that.
#include <array>

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;

class Core final : public Inbox {
 public:
  void use(unsigned index) { uses_.at(index)($) = 1; }
  int destroyed = 0;

 private:
  void raise() noexcept override {}
  void free_orphan(RemoteNode&) noexcept override {}
  void destroy_inbox() noexcept override {
    ++destroyed;
    for (auto& each : uses_) RL_ASSERT(int(each($)) == 1);
  }

  std::array<rl::var<int>, 3> uses_;
};

struct References : rl::test_suite<References, 3> {
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
    RL_ASSERT(core->destroyed == 1);
    MODEL_DELETE core;
  }
};

}  // namespace

int main() { return assay::testkit::explore<References>("inbox_references"); }
