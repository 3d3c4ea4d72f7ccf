// Sleep against wake: an owner that sleeps when its inbox is empty, and a thread that wakes it. No wake is lost (the owner
// never blocks for ever), and the eventfd is raised at most once per announced sleep.
#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;

class Core final : public Inbox {
 public:
  // The eventfd: blocks until raised.
  void block() {
    mutex_.lock($);
    while (raised_($) == 0) condition_.wait(mutex_, $);
    raised_($) = 0;
    mutex_.unlock($);
  }
  int raises = 0;  // in this execution; threads of a model do not run at once

 private:
  void raise() noexcept override {
    ++raises;
    mutex_.lock($);
    raised_($) = 1;
    condition_.notify_one($);
    mutex_.unlock($);
  }
  void free_orphan(RemoteNode&) noexcept override {}
  void destroy_inbox() noexcept override {}

  rl::mutex mutex_;
  rl::condition_variable_any condition_;
  rl::var<int> raised_{0};
};

struct Sleep : rl::test_suite<Sleep, 2> {
  Core* core = nullptr;
  RemoteNode* node = nullptr;
  int announced = 0;
  rl::var<int> message{0};

  void before() {
    core = MODEL_NEW Core;
    announced = 0;
    node = MODEL_NEW RemoteNode(*core);
    Inbox::clone(*node);
  }

  void owner() {
    bool woken = false;
    const auto seen = [&](RemoteNode&, std::uint64_t word) {
      RL_ASSERT((word & Inbox::notified) != 0);
      RL_ASSERT(int(message($)) > 0);
      woken = true;
    };
    while (!woken) {
      core->drain(seen);
      if (woken) break;
      ++announced;
      if (!core->prepare_sleep()) continue;
      core->block();
      core->finish_sleep();
    }
  }

  void thread(unsigned index) {
    if (index == 0) {
      owner();
    } else {
      message($) = 1;
      Inbox::wake_by_ref(*node);
    }
  }

  void after() {
    RL_ASSERT(core->raises <= announced);
    MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

}  // namespace

int main() { return assay::testkit::explore<Sleep>("inbox_sleep"); }
