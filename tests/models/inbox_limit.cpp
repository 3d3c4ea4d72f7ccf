// As many Wakers of one task as there may be, but two: threads that clone, wake and drop reach the limit together. The count neither
// touches the bits beside it nor loses a Waker; a wake is seen with what was written before it; one more is refused (a test:
// tests/kernel_inbox.cpp).
#include <array>

#include "assay_testkit/model.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Model;
namespace sync = assay::testkit::sync;

class Core final : public Inbox {
 private:
  void raise() noexcept override {}
  void free_orphan(RemoteNode&) noexcept override { MODEL_CHECK(false); }
  void destroy_inbox() noexcept override {}
};

struct Limit : Model<Limit, 3> {
  static constexpr std::uint64_t begin = Inbox::max_count - 2;
  Core* core = nullptr;
  RemoteNode* node = nullptr;
  sync::Cell<int> written{0};
  bool was_seen = false;

  void before() {
    core = MODEL_NEW Core;
    node = MODEL_NEW RemoteNode(*core);
    node->word.fetch_add_relaxed(begin * Inbox::one);
  }

  void look() {
    core->drain([this](RemoteNode&, std::uint64_t word) {
      const std::uint64_t count = Inbox::count_of(word);
      MODEL_CHECK(count >= begin && count <= Inbox::max_count);
      if ((word & Inbox::notified) != 0) {
        was_seen = true;
        MODEL_CHECK(written.get() == 1);
      }
    });
  }

  void thread(unsigned index) {
    if (index == 0) return look();
    Inbox::clone(*node);
    if (index == 1) {
      written.set(1);
      Inbox::wake_by_ref(*node);
    }
    Inbox::drop(*node);
  }

  void after() {
    look();
    MODEL_CHECK(was_seen && Inbox::count_of(node->word.load_acquire()) == begin);
    MODEL_DELETE node;
    MODEL_DELETE core;
  }
};

}  // namespace

MODEL_MAIN("inbox_limit", [] { return assay::testkit::run_model<Limit>("inbox_limit"); })
