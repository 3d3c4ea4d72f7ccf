// Purpose: hands out thread ids. See current.hpp.
// Thread rules: any thread.
// Invariants:
//  (1) The counter has 64 bits: at a billion threads a second it lasts five centuries.
#include "assay/audited/current.hpp"

#include "assay/base/check.hpp"
#include "assay/audited/sync.hpp"

namespace assay::audited {

namespace {
// SAFETY(X2): a global counter, touched by one atomic operation only.
constinit sync::Atomic<std::uint64_t> last_thread_id{0};
}  // namespace

std::uint64_t assign_thread_id() noexcept ASSAY_NONBLOCKING {
  ASSAY_ASSERT(this_thread().thread_id == 0, "internal: a thread was given two ids");
  // SAFETY(X2): relaxed: only that no two threads get the same number matters, and any order of one atomic gives that.
  this_thread().thread_id = last_thread_id.fetch_add_relaxed(1) + 1;
  ASSAY_ASSERT(ASSAY_ALWAYS(this_thread().thread_id != 0), "internal: thread ids wrapped");
  return this_thread().thread_id;
}

}  // namespace assay::audited
