// locks only: no memory order of ours
// A thread that waits for one thing, and for another one inside it, as run() in a poll of run() does: each wait has a token of
// its own. Whichever is unparked first, neither wait takes the other's token, and the thread comes out of both.
#include "assay_testkit/model.hpp"

#include <utility>

#include "assay/audited/function_waker.hpp"
#include "assay/run.hpp"

namespace {

using assay::Context;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::Waker;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

// Ready when its flag is set; gives its waker to the thread that sets it.
struct Flag {
  sync::Mutex mutex;
  bool is_set = false;
  Waker waker;

  void set() {
    Waker woken;
    {
      const sync::Lock lock(mutex);
      is_set = true;
      std::swap(woken, waker);
    }
    std::move(woken).wake();
  }
  bool is_set_or_wakes(const Context& context) {
    Waker mine = context.waker();
    const sync::Lock lock(mutex);
    std::swap(mine, waker);
    return is_set;
  }
};

struct Inner {
  using Output = void;
  Flag& flag;
  Poll<void> poll(Context& context) { return flag.is_set_or_wakes(context) ? Poll<void>(Ready()) : Poll<void>(Pending); }
};

// Waits for the inner flag in each of its polls, by blocking the thread.
struct Outer {
  using Output = void;
  Flag& flag;
  Flag& inner;
  Poll<void> poll(Context& context) {
    const bool is_set = flag.is_set_or_wakes(context);
    assay::run(Inner{inner});
    return is_set ? Poll<void>(Ready()) : Poll<void>(Pending);
  }
};

template <bool inner_first>
struct Nested : Model<Nested<inner_first>, 2> {
  Flag inner;
  Flag outer;
  void thread(unsigned index) {
    if (index == 0) {
      assay::run(Outer{outer, inner});
    } else {
      (inner_first ? inner : outer).set();
      (inner_first ? outer : inner).set();
    }
  }
};

}  // namespace

MODEL_MAIN("park_nested", [] {
  return assay::testkit::run_model<Nested<true>>("park_nested_inner_first", 3) +
         assay::testkit::run_model<Nested<false>>("park_nested_outer_first", 3);
})
