// park against unpark, and the Parker's end: one thread parks until it finds the work done, another does it, unparks and
// drops its waker. No wake is lost, what was written before unpark() is seen after park(), and the last reference frees
// the Parker while nobody is inside it.
#include "assay_testkit/model.hpp"

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"

namespace {

namespace sync = assay::testkit::sync;
using assay::testkit::Model;
using assay::Waker;
using assay::audited::FunctionWaker;

sync::Atomic<int>* freed = nullptr;

// A Parker that knows whether it is alive: read by each use, written when it is destroyed.
class Watched : public assay::audited::Parker {
 public:
  ~Watched() {
    body_.set(0);
    freed->fetch_add_relaxed(1);
  }
  void operator()() {
    MODEL_CHECK(body_.get() == 1);
    Parker::operator()();
  }
  void park() {
    Parker::park();
    MODEL_CHECK(body_.get() == 1);
  }

 private:
  sync::Cell<int> body_{1};
};

struct Park : Model<Park, 2> {
  Waker mine;
  Waker theirs;
  Watched* parker = nullptr;
  sync::Cell<int> work{0};
  sync::Atomic<int> frees{0};

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
      MODEL_CHECK(work.get() == 1);
      mine = Waker();
    } else {
      work.set(1);
      std::move(theirs).wake();
    }
  }

  void after() { MODEL_CHECK(frees.load_relaxed() == 1); }
};

}  // namespace

MODEL_MAIN("park", [] { return assay::testkit::run_model<Park>("park"); })
