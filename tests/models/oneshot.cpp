// locks only: no memory order of ours
// threads::oneshot, with a receiver that blocks its thread: send, drop and close on one side, against waiting, dropping and
// closing on the other. The value arrives, with all that was written before it, or the sender hears that it did not; it is
// destroyed once; and nobody waits for ever.
#include "assay_testkit/model.hpp"

#include <optional>
#include <utility>

#include "assay/run.hpp"
#include "assay/threads/oneshot.hpp"

namespace {

using assay::testkit::Model;
using assay::testkit::run_model;
namespace sync = assay::testkit::sync;
namespace threads = assay::threads;

int alive = 0;  // values, in this execution; threads of a model do not run at once

// What is sent.
class Value {
 public:
  Value() { ++alive; }
  Value(Value&&) noexcept { ++alive; }
  Value& operator=(Value&&) noexcept = default;
  ~Value() { --alive; }
};

template <class Self, unsigned count = 2>
struct OneshotModel : Model<Self, count> {
  std::optional<threads::OneshotSender<Value>> sender;
  std::optional<threads::OneshotReceiver<Value>> receiver;
  sync::Cell<int> written{0};

  void before() {
    alive = 0;
    auto [one, other] = threads::oneshot<Value>();
    sender.emplace(std::move(one));
    receiver.emplace(std::move(other));
  }
  void after() {
    sender.reset();
    receiver.reset();
    MODEL_CHECK(alive == 0);
  }
  bool send() {
    written.set(1);
    return sender->send(Value());
  }
};

struct Send : OneshotModel<Send> {
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(send());
    } else {
      MODEL_CHECK(assay::run(*receiver).has_value());
      MODEL_CHECK(written.get() == 1);
    }
  }
};

struct Drop : OneshotModel<Drop> {
  void thread(unsigned index) {
    if (index == 0) {
      written.set(1);
      sender.reset();
    } else {
      MODEL_CHECK(!assay::run(*receiver).has_value());
      MODEL_CHECK(written.get() == 1);
    }
  }
};

// The receiver is dropped; it may take the value with it.
struct Gone : OneshotModel<Gone> {
  bool sent = false;
  void thread(unsigned index) {
    if (index == 0) {
      sent = send();
    } else {
      if (receiver->is_ready()) MODEL_CHECK(written.get() == 1);
      receiver.reset();
    }
  }
};

// The receiver closes, and takes what was sent before that.
struct Close : OneshotModel<Close> {
  bool sent = false;
  bool received = false;
  void thread(unsigned index) {
    if (index == 0) {
      sent = send();
    } else {
      receiver->close();
      received = assay::run(*receiver).has_value();
      if (received) MODEL_CHECK(written.get() == 1);
    }
  }
  void after() {
    MODEL_CHECK(sent == received);
    OneshotModel::after();
  }
};

// The sender waits until nobody wants its value.
struct Closed : OneshotModel<Closed> {
  void thread(unsigned index) {
    if (index == 0) {
      assay::run(sender->closed());
      MODEL_CHECK(sender->is_closed());
      MODEL_CHECK(written.get() == 1);
    } else {
      written.set(1);
      receiver.reset();
    }
  }
};

// The receiver is polled with one waker and then with another one, which is what is woken.
struct Rewaked : OneshotModel<Rewaked> {
  void thread(unsigned index) {
    if (index == 0) {
      MODEL_CHECK(send());
      return;
    }
    const assay::Waker nobody;
    assay::Context once(nobody);
    if (receiver->poll(once).is_ready()) return;
    MODEL_CHECK(assay::run(*receiver).has_value());
    MODEL_CHECK(written.get() == 1);
  }
};

}  // namespace

MODEL_MAIN("oneshot", [] {
  return run_model<Send>("oneshot_send") + run_model<Drop>("oneshot_drop") + run_model<Gone>("oneshot_gone") +
         run_model<Close>("oneshot_close") + run_model<Closed>("oneshot_closed") + run_model<Rewaked>("oneshot_rewaked");
})
