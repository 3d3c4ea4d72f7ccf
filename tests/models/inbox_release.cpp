// The last Waker is dropped while the owner makes another one and goes to sleep: the drop's message may be on its way when the
// new Waker wakes. No wake is lost: neither when both are of one thread, nor when they are of two.
#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
using assay::testkit::Signal;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
 public:
  Signal eventfd;
  int raises = 0;  // in this execution; threads of a model do not run at once

 private:
  void raise() noexcept override {
    ++raises;
    eventfd.set();
  }
  void free_orphan(RemoteNode&) noexcept override { MODEL_CHECK(false); }
  void destroy_inbox() noexcept override {}
};

template <unsigned threads>
struct Release : Model<Release<threads>, threads> {
  Core* core = nullptr;
  RemoteNode* node = nullptr;
  int announced = 0;
  Signal* handed_over = nullptr;  // a second Waker
  sync::Cell<int> message{0};

  void before() {
    core = MODEL_NEW Core;
    handed_over = MODEL_NEW Signal;
    announced = 0;
    node = MODEL_NEW RemoteNode(*core);
    Inbox::clone(*node);
  }

  void owner() {
    Inbox::clone(*node);  // in a poll, from the context
    handed_over->set();
    bool woken = false;
    const auto seen = [&](RemoteNode&, std::uint64_t word) {
      if ((word & Inbox::notified) == 0) return;
      MODEL_CHECK(message.get() == 1);
      woken = true;
    };
    while (!woken) {
      core->drain(seen);
      if (woken) break;
      ++announced;
      if (!core->prepare_sleep()) continue;
      core->eventfd.wait();
      core->finish_sleep();
    }
  }

  void wake_with_the_second() {
    handed_over->wait();
    message.set(1);
    Inbox::wake_by_ref(*node);
  }

  void thread(unsigned index) {
    if (index == 0) {
      owner();
    } else if (threads == 2) {
      Inbox::drop(*node);
      wake_with_the_second();
    } else if (index == 1) {
      Inbox::drop(*node);
    } else {
      wake_with_the_second();
    }
  }

  void after() {
    MODEL_CHECK(core->raises <= announced);
    // What is left: the second Waker, and perhaps the message of the first one's end.
    std::uint64_t count = Inbox::count_of(node->word.load_acquire());
    MODEL_CHECK(count == 1);
    core->drain([](RemoteNode&, std::uint64_t) {});
    MODEL_DELETE node;
    MODEL_DELETE handed_over;
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_release", [] {
  const int one_thread = assay::testkit::run_model<Release<2>>("inbox_release", 5);
  return one_thread != 0 ? one_thread : assay::testkit::run_model<Release<3>>("inbox_release", 4);
})
