// locks only: no memory order of ours
// threads::RemoteHandle against the work that it stands for: waiting, cancelling and detaching on one side; being done, throwing
// and being dropped on the other. The handle comes to its end whatever happens, an outcome or an exception is had by one side,
// and work that is no longer wanted hears of it.
#include "assay_testkit/model.hpp"

#include <exception>
#include <optional>
#include <utility>

#include "assay/threads/remote_handle.hpp"

namespace {

using assay::TaskCancelled;
using assay::testkit::Model;
using assay::testkit::run_model;
using assay::threads::RemoteHandle;
using assay::threads::detail::Outcome;
using assay::threads::detail::Work;
namespace sync = assay::testkit::sync;

struct Thrown {};

template <class Self>
struct HandleModel : Model<Self, 2> {
  std::optional<Work<int>> work;
  std::optional<RemoteHandle<int>> handle;
  sync::Cell<int> written{0};

  void before() {
    auto [sender, receiver] = assay::threads::oneshot<Outcome<int>>();
    work.emplace(std::move(sender));
    handle.emplace(std::move(receiver), 0);
  }

  // What awaiting it comes to: the output, -1 when it was cancelled, -2 when it threw.
  int await() {
    try {
      return assay::run(*handle);
    } catch (const TaskCancelled&) {
      return -1;
    } catch (const Thrown&) {
      return -2;
    }
  }
  static Outcome<int> thrown() { return Outcome<int>(std::in_place_index<1>, std::make_exception_ptr(Thrown())); }
};

struct Done : HandleModel<Done> {
  void thread(unsigned index) {
    if (index == 0) {
      written.set(1);
      work->finish(Outcome<int>(7));
    } else {
      MODEL_CHECK(await() == 7);
      MODEL_CHECK(written.get() == 1);
    }
  }
};

struct Throws : HandleModel<Throws> {
  void thread(unsigned index) {
    if (index == 0) {
      work->finish(thrown());
    } else {
      MODEL_CHECK(await() == -2);
    }
  }
};

// Whoever was to do it goes.
struct Dropped : HandleModel<Dropped> {
  void thread(unsigned index) {
    if (index == 0) {
      work.reset();
    } else {
      MODEL_CHECK(await() == -1);
    }
  }
};

// Cancelled while it may be done: then it is one or the other. What waits for the cancelling hears of it.
struct Cancelled : HandleModel<Cancelled> {
  class Waits {
   public:
    using Output = void;
    explicit Waits(Work<int>& work) : work_(work) {}
    assay::Poll<void> poll(assay::Context& context) {
      if (work_.is_cancelled(context)) return assay::Ready();
      return assay::Pending;
    }

   private:
    Work<int>& work_;
  };

  void thread(unsigned index) {
    if (index == 0) {
      assay::run(Waits(*work));
      MODEL_CHECK(written.get() == 1);
      work->finish(thrown());  // which is nobody's business any more
    } else {
      written.set(1);
      handle->cancel();
      MODEL_CHECK(await() == -1);
    }
  }
};

struct Races : HandleModel<Races> {
  void thread(unsigned index) {
    if (index == 0) {
      work->finish(Outcome<int>(7));
    } else {
      handle->cancel();
      const int outcome = await();
      MODEL_CHECK(outcome == -1 || outcome == 7);
    }
  }
};

// Detached while it throws: the exception goes to whoever does the work, or was sent before that; not to both.
struct Detached : HandleModel<Detached> {
  bool was_sent = false;
  bool was_thrown = false;
  void thread(unsigned index) {
    if (index == 1) {
      was_sent = handle->is_finished();
      return handle->detach();
    }
    try {
      work->finish(thrown());
    } catch (const Thrown&) {
      was_thrown = true;
    }
  }
  void after() { MODEL_CHECK(!(was_sent && was_thrown)); }
};

}  // namespace

MODEL_MAIN("remote_handle", [] {
  return run_model<Done>("remote_handle_done") + run_model<Throws>("remote_handle_throws") +
         run_model<Dropped>("remote_handle_dropped") + run_model<Cancelled>("remote_handle_cancelled", 3) +
         run_model<Races>("remote_handle_races") + run_model<Detached>("remote_handle_detached");
})
