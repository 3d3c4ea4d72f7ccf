// The table of system calls is replaced by one thread while another makes a call: whichever table it finds, it finds its entries.
#include "assay_testkit/model.hpp"

#include <optional>

#include "assay/audited/system.cpp"

namespace {

using assay::audited::SystemCalls;

struct Table : rl::test_suite<Table, 2> {
  static inline Table* self = nullptr;
  std::optional<decltype(assay::audited::in_use)::Execution> place;
  rl::var<int> entry{0};
  SystemCalls mine = assay::audited::real_system_calls();

  void before() {
    self = this;
    place.emplace(assay::audited::in_use);
    mine.close = [](int) { return int(self->entry($)); };
  }

  void thread(unsigned index) {
    if (index == 0) {
      entry($) = 7;
      assay::audited::replace_system_calls(&mine);
    } else {
      const int got = assay::audited::close_fd(-1);
      RL_ASSERT(got == 7 || got == -1);
    }
  }

  void after() {
    RL_ASSERT(assay::audited::close_fd(-1) == 7);
    place.reset();
  }
};

}  // namespace

int main() { return assay::testkit::explore<Table>("system_calls"); }
