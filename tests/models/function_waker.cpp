// The Wakers of one function: cloned, used and dropped by two threads at once. The function is called once for each wake, and
// destroyed once, by whoever drops the last Waker, when nobody is inside it.
#include "assay_testkit/model.hpp"

#include <utility>

#include "assay/audited/function_waker.hpp"

namespace {

using assay::Waker;
using assay::audited::FunctionWaker;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

struct Counts {
  sync::Atomic<int> calls{0};
  sync::Atomic<int> ends{0};
};

// Its body is read by each call, and written at its end.
class Function {
 public:
  explicit Function(Counts& counts) : counts_(counts) {}
  ~Function() {
    body_.set(0);
    counts_.ends.fetch_add_relaxed(1);
  }
  void operator()() {
    MODEL_CHECK(body_.get() == 1);
    counts_.calls.fetch_add_relaxed(1);
  }

 private:
  Counts& counts_;
  sync::Cell<int> body_{1};
};

struct Ends : Model<Ends, 2> {
  Counts counts;
  Waker first;
  Waker second;

  void before() {
    first = FunctionWaker<Function>::make(counts).waker;
    second = first;
  }

  void thread(unsigned index) {
    if (index == 0) {
      first.wake_by_ref();
      first = Waker();
    } else {
      Waker clone = second;
      std::move(second).wake();
      std::move(clone).wake();
    }
  }

  void after() { MODEL_CHECK(counts.calls.load_relaxed() == 3 && counts.ends.load_relaxed() == 1); }
};

}  // namespace

MODEL_MAIN("function_waker", [] { return assay::testkit::run_model<Ends>("function_waker"); })
