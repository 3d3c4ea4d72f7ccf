// What a mutex guards is touched under it only.
// expect: requires holding mutex 'mutex_'
// compiler: clang
#include "assay/audited/sync.hpp"

using namespace assay;

class Counter {
 public:
  int next() {
    const audited::sync::Lock lock(mutex_);
    return ++count_;
  }
#ifdef ASSAY_FAIL
  int next_unlocked() { return ++count_; }
#endif

 private:
  audited::sync::Mutex mutex_;
  int count_ ASSAY_GUARDED_BY(mutex_) = 0;
};

#ifdef ASSAY_FAIL
int raced(Counter& counter) { return counter.next_unlocked(); }
#endif
