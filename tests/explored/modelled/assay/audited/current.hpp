// Stands in for runtime/assay/audited/current.hpp (it comes first on the include path) where threads are the explorer's: what
// that header keeps for each thread of the system, the model keeps for each of its own. All else is that header's.
#pragma once

#define this_thread thread_of_the_system
#define current_thread_id id_of_the_thread_of_the_system
#include "../../../../../runtime/assay/audited/current.hpp"
#undef this_thread
#undef current_thread_id

namespace assay::audited {

Current& this_thread() noexcept ASSAY_NONBLOCKING;

inline std::uint64_t current_thread_id() noexcept ASSAY_NONBLOCKING { return this_thread().thread_id; }

}  // namespace assay::audited
