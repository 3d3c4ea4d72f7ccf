// Purpose: holds a mutex for a scope. Which mutex: the operating system's, or an explorer's or a checking tool's in its place.
// Thread rules: as the mutex's.
// Invariants:
//  (1) The mutex is locked from the constructor's end to the destructor; it outlives the lock.
#pragma once

#include "assay/base/attributes.hpp"

namespace assay::audited::sync {

template <class Mutex>
class ASSAY_SCOPED_CAPABILITY LockOf {
 public:
  explicit LockOf(Mutex& mutex) ASSAY_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~LockOf() ASSAY_RELEASE() { mutex_.unlock(); }
  LockOf(const LockOf&) = delete;
  LockOf& operator=(const LockOf&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace assay::audited::sync
