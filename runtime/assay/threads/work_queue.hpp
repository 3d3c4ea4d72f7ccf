// WorkQueue: jobs that block, for threads that do nothing else. What BlockingPool is made of, without its threads.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <utility>

#include "assay/audited/sync.hpp"
#include "assay/base/attributes.hpp"

namespace assay::threads::detail {

class BlockingJob {
 public:
  BlockingJob() = default;
  BlockingJob(const BlockingJob&) = delete;
  BlockingJob& operator=(const BlockingJob&) = delete;
  virtual ~BlockingJob() = default;  // where it was not run, its handle hears that it was cancelled
  virtual void run() noexcept = 0;
};

// Any thread. Jobs are begun in the order in which they came. They are run and destroyed with no lock held.
class WorkQueue {
  using Lock = audited::sync::Lock;

 public:
  using Jobs = std::list<std::unique_ptr<BlockingJob>>;

  explicit WorkQueue(std::size_t max_threads) noexcept : max_threads_(max_threads) {}

  // Takes the one job in `job`. True: too few threads serve; the caller is to start one more, or to call thread_failed().
  // Once the queue is closed, the job stays where it is.
  bool push(Jobs& job) noexcept {
    const Lock lock(mutex_);
    if (is_closed_) return false;
    queue_.splice(queue_.end(), job);
    if (idle_ >= queue_.size()) {
      work_.notify_one();
      return false;
    }
    if (threads_ == max_threads_) return false;  // whoever is done first takes it
    ++threads_;
    return true;
  }

  // The thread that push() asked for could not be started. True: nor is there another one; all jobs that wait are cancelled.
  bool thread_failed() noexcept {
    Jobs cancelled;
    const Lock lock(mutex_);
    if (--threads_ != 0) return false;
    cancelled.swap(queue_);
    return true;
  }

  // Runs jobs until the queue is closed.
  void serve() noexcept {
    for (;;) {
      Jobs job;
      {
        const Lock lock(mutex_);
        ++idle_;
        while (queue_.empty() && !is_closed_) work_.wait(mutex_);
        --idle_;
        if (queue_.empty()) return;
        job.splice(job.end(), queue_, queue_.begin());
      }
      job.front()->run();
    }
  }

  // Cancels the jobs that wait, and lets the threads end when what they run is done.
  void close() noexcept {
    Jobs cancelled;
    const Lock lock(mutex_);
    is_closed_ = true;
    cancelled.swap(queue_);
    for (std::size_t count = 0; count != idle_; ++count) work_.notify_one();
  }

  // Threads that were asked for.
  std::size_t threads() noexcept {
    const Lock lock(mutex_);
    return threads_;
  }
  std::size_t waiting_jobs() noexcept {
    const Lock lock(mutex_);
    return queue_.size();
  }

 private:
  const std::size_t max_threads_;
  audited::sync::Mutex mutex_;
  audited::sync::Condition work_;
  Jobs queue_ ASSAY_GUARDED_BY(mutex_);
  std::size_t threads_ ASSAY_GUARDED_BY(mutex_) = 0;
  std::size_t idle_ ASSAY_GUARDED_BY(mutex_) = 0;  // threads in wait(), also those that are woken and not back yet
  bool is_closed_ ASSAY_GUARDED_BY(mutex_) = false;
};

}  // namespace assay::threads::detail
