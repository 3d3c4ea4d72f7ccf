// locks only: no memory order of ours
// threads::detail::WorkQueue, which BlockingPool is made of: work comes while threads serve and the queue is closed. Each job is
// run or cancelled, once; none is forgotten; who is to start a thread hears of it; and all threads end.
#include "assay_testkit/model.hpp"

#include <memory>
#include <utility>

#include "assay/threads/work_queue.hpp"

namespace {

using assay::testkit::Model;
using assay::testkit::run_model;
using assay::threads::detail::BlockingJob;
using assay::threads::detail::WorkQueue;
namespace sync = assay::testkit::sync;

struct Counts {
  int ran = 0;
  int ended = 0;
};

class Job final : public BlockingJob {
 public:
  Job(Counts& counts, sync::Cell<int>& written) : counts_(counts), written_(written) {}
  ~Job() override { ++counts_.ended; }
  void run() noexcept override {
    MODEL_CHECK(written_.get() == 1);
    ++counts_.ran;
  }

 private:
  Counts& counts_;
  sync::Cell<int>& written_;
};

template <class Self, unsigned count>
struct QueueModel : Model<Self, count> {
  WorkQueue queue{Self::max_threads};
  Counts counts;  // of this execution; threads of a model do not run at once
  sync::Cell<int> written{0};
  sync::Cell<int> written_by_another{0};
  sync::Cell<int> written_too_late{0};

  // Whether a thread is to be started.
  bool push(sync::Cell<int>& mark) {
    mark.set(1);
    WorkQueue::Jobs job;
    job.push_back(std::make_unique<Job>(counts, mark));
    return queue.push(job);
  }
};

// One that serves, one that brings two jobs and closes: what was not begun then is cancelled.
struct Close : QueueModel<Close, 2> {
  static constexpr std::size_t max_threads = 1;
  void before() { MODEL_CHECK(push(written)); }
  void thread(unsigned index) {
    if (index == 0) return queue.serve();
    MODEL_CHECK(!push(written_by_another));
    queue.close();
    MODEL_CHECK(!push(written_too_late));  // refused: it ends here
  }
  void after() { MODEL_CHECK(counts.ended == 3 && counts.ran <= 2); }
};

// Two bring a job each to the one thread that there may be. The first one is told to start it, unless it serves already.
struct TwoBring : QueueModel<TwoBring, 3> {
  static constexpr std::size_t max_threads = 1;
  int asked = 0;
  sync::Atomic<int> left{2};
  void thread(unsigned index) {
    if (index == 0) return queue.serve();
    asked += push(index == 1 ? written : written_by_another) ? 1 : 0;
    if (left.fetch_sub_acq_rel(1) == 1) queue.close();
  }
  void after() { MODEL_CHECK(asked <= 1 && counts.ended == 2); }
};

// Two serve; a job comes when one of them may be idle: no thread is asked for then.
struct Idle : QueueModel<Idle, 3> {
  static constexpr std::size_t max_threads = 2;
  void thread(unsigned index) {
    if (index != 2) return queue.serve();
    const bool is_short = push(written);
    MODEL_CHECK(queue.threads() == (is_short ? 1U : 0U));
    queue.close();
  }
  void after() { MODEL_CHECK(counts.ended == 1 && counts.ran <= 1); }
};

// The thread that was asked for cannot be started: the job is cancelled, unless another thread has it.
struct Fails : QueueModel<Fails, 2> {
  static constexpr std::size_t max_threads = 2;
  bool is_lost = false;
  void thread(unsigned index) {
    if (index == 0) return queue.serve();
    if (push(written)) is_lost = queue.thread_failed();
    queue.close();
  }
  void after() { MODEL_CHECK(counts.ended == 1 && counts.ran <= 1); }
};

}  // namespace

MODEL_MAIN("work_queue", [] {
  return run_model<Close>("work_queue_close") + run_model<TwoBring>("work_queue_two_bring", 2) + run_model<Idle>("work_queue_idle", 2) + run_model<Fails>("work_queue_fails");
})
