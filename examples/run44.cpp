// The whole idea in one page: a future written by hand, a thread that wakes it, and run(), which sleeps until then.
#include <assay/run.hpp>

#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

// Ready with 42, once a thread of its own has worked it out.
class Answer {
 public:
  using Output = int;

  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    if (thread_.joinable()) thread_.join();
  }

  assay::Poll<int> poll(assay::Context& context) {
    const std::lock_guard lock(mutex_);
    if (answer_) return assay::Ready(*answer_);
    waker_ = context.waker();  // the latest one counts
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    return assay::Pending;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    answer_ = 6 * 7;
    assay::Waker waker = std::move(waker_);
    lock.unlock();  // never call a waker with a lock held
    std::move(waker).wake();
  }

  std::mutex mutex_;
  std::optional<int> answer_;
  assay::Waker waker_;
  std::thread thread_;
};

int main() { std::printf("%d\n", assay::run(Answer())); }
