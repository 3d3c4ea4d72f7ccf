// The table of system calls is replaced by one thread while another makes a call: whichever table it finds, it finds its entries.
#include "assay_testkit/model.hpp"

#include <optional>

#include "assay/audited/system.cpp"

namespace {

namespace sync = assay::testkit::sync;
using assay::testkit::Model;
using assay::audited::SystemCalls;

struct Table : Model<Table, 2> {
  static inline Table* self = nullptr;
  std::optional<decltype(assay::audited::in_use)::Execution> place;
  sync::Cell<int> entry{0};
  SystemCalls mine = assay::audited::real_system_calls();

  void before() {
    self = this;
    place.emplace(assay::audited::in_use);
    mine.close = [](int) { return self->entry.get(); };
  }

  void thread(unsigned index) {
    if (index == 0) {
      entry.set(7);
      assay::audited::replace_system_calls(&mine);
    } else {
      const int got = assay::audited::close_fd(-1);
      MODEL_CHECK(got == 7 || got == -1);
    }
  }

  void after() {
    MODEL_CHECK(assay::audited::close_fd(-1) == 7);
    place.reset();
  }
};

}  // namespace

MODEL_MAIN("system_calls", [] { return assay::testkit::run_model<Table>("system_calls"); })
