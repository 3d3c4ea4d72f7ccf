// park against unpark, and the Parker's end: one thread parks until it finds the work done, another does it, unparks and
// drops its reference. No wake is lost, what was written before unpark() is seen after park(), and the last reference frees
// the Parker while nobody is inside it.
#include "assay_testkit/model.hpp"

#include "assay/audited/park.hpp"

namespace {

using assay::audited::Parker;

struct Park : rl::test_suite<Park, 2> {
  Parker* parker = nullptr;
  rl::var<int> work{0};
  rl::var<int> body{0};  // stands for the Parker's memory: used up to release(), written by whoever frees it
  rl::atomic<int> freed{0};

  void before() {
    parker = MODEL_NEW Parker;
    parker->retain();
  }

  void release() {
    static_cast<void>(int(body($)));
    if (!parker->release()) return;
    body($) = 1;
    freed.fetch_add(1, rl::mo_relaxed, $);
    MODEL_DELETE parker;
  }

  void thread(unsigned index) {
    if (index == 0) {
      parker->park();
      RL_ASSERT(int(work($)) == 1);
    } else {
      work($) = 1;
      parker->unpark();
    }
    release();
  }

  void after() { RL_ASSERT(freed.load(rl::mo_relaxed, $) == 1); }
};

}  // namespace

int main() { return assay::testkit::explore<Park>("park"); }
