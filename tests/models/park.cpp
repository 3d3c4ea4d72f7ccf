// park against unpark, and the Parker's end: one thread parks until it finds the work done, another does it, unparks and
// drops its waker. No wake is lost, what was written before unpark() is seen after park(), and the last reference frees
// the Parker while nobody is inside it.
#include "assay_testkit/model.hpp"

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"

namespace {

using assay::Waker;
using assay::audited::FunctionWaker;

rl::atomic<int>* freed = nullptr;

// A Parker that knows whether it is alive: read by each use, written when it is destroyed.
class Watched : public assay::audited::Parker {
 public:
  ~Watched() {
    body_($) = 0;
    freed->fetch_add(1, rl::mo_relaxed, $);
  }
  void operator()() {
    RL_ASSERT(int(body_($)) == 1);
    Parker::operator()();
  }
  void park() {
    Parker::park();
    RL_ASSERT(int(body_($)) == 1);
  }

 private:
  rl::var<int> body_{1};
};

struct Park : rl::test_suite<Park, 2> {
  Waker mine;
  Waker theirs;
  Watched* parker = nullptr;
  rl::var<int> work{0};
  rl::atomic<int> frees{0};

  void before() {
    freed = &frees;
    auto made = FunctionWaker<Watched>::make();
    parker = &made.callable;
    theirs = made.waker;
    mine = std::move(made.waker);
  }

  void thread(unsigned index) {
    if (index == 0) {
      parker->park();
      RL_ASSERT(int(work($)) == 1);
      mine = Waker();
    } else {
      work($) = 1;
      std::move(theirs).wake();
    }
  }

  void after() { RL_ASSERT(frees.load(rl::mo_relaxed, $) == 1); }
};

}  // namespace

int main() { return assay::testkit::explore<Park>("park"); }
