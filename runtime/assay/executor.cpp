#include "assay/executor.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <string>
#include <vector>

#include "assay/base/check.hpp"
#include "assay/descriptors.hpp"
#include "assay/epoll_reactor.hpp"

namespace assay {

using detail::TaskFlags;
using detail::TaskHeader;

// What pollable_fd() shows to the outside, and what it was last told.
struct Executor::Embedding {
  explicit Embedding(int wakeup_fd) : set(wakeup_fd) {}

  // Brings the set up to date with what the reactor waits for. False: some of it cannot be polled. No allocation, once the
  // vectors are large enough.
  bool watch(const Reactor& reactor);

  detail::PollableSet set;

 private:
  struct Item {
    int fd;
    std::uint32_t events;
  };
  using Items = std::vector<Item>;  // ordered, and one for each fd
  static bool before(const Item& a, const Item& b) noexcept { return a.fd < b.fd; }
  static bool contains(const Items& items, const Item& item) noexcept {
    return std::binary_search(items.begin(), items.end(), item, before);
  }
  static void order(Items& items);

  Items watched_;
  Items wanted_;
  bool stale_ = false;  // the set reports what cannot be named any more
};

void Executor::Embedding::order(Items& items) {
  std::sort(items.begin(), items.end(), before);
  std::size_t kept = 0;
  for (const Item& each : items) {
    if (kept > 0 && items.at(kept - 1).fd == each.fd) {
      items.at(kept - 1).events |= each.events;
    } else {
      items.at(kept++) = each;
    }
  }
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(kept), items.end());
}

bool Executor::Embedding::watch(const Reactor& reactor) {
  using Watch = detail::PollableSet::Watch;
  wanted_.clear();
  reactor.for_each([&](int fd, short events) { wanted_.push_back({fd, static_cast<std::uint32_t>(events)}); });
  order(wanted_);
  for (const Item& old : watched_) {
    if (!contains(wanted_, old)) stale_ |= !set.forget(old.fd);
  }
  const auto refuses = [&](const Item& each) {
    const Watch how = set.watch(each.fd, each.events);
    stale_ |= how == Watch::added && contains(watched_, each);
    return how == Watch::refused;
  };
  const std::size_t count = wanted_.size();
  wanted_.erase(std::remove_if(wanted_.begin(), wanted_.end(), refuses), wanted_.end());
  if (stale_ && set.renew()) {  // else it is tried again the next time: meanwhile the fd is readable too often, no more
    stale_ = false;
    watched_.clear();
    wanted_.erase(std::remove_if(wanted_.begin(), wanted_.end(), refuses), wanted_.end());
  }
  std::swap(watched_, wanted_);
  return watched_.size() == count;
}

namespace {

std::unique_ptr<Reactor> make_reactor(const ExecutorOptions& options) {
  if (options.reactor != nullptr) return nullptr;
  if (options.backend == Backend::poll) return std::make_unique<PollReactor>();
  return std::make_unique<EpollReactor>();
}

}  // namespace

Executor::Executor(ExecutorOptions options)
    : options_(std::move(options)),
      own_reactor_(make_reactor(options_)),
      clock_(options_.clock != nullptr ? options_.clock : &steady_clock_),
      reactor_(options_.reactor != nullptr ? options_.reactor : own_reactor_.get()),
      random_state_(options_.seed),
      scheduler_(detail::SlabOptions{.slots = options_.task_slots,
                                      .slot_bytes = options_.task_slot_bytes,
                                      .growth = options_.task_growth}) {
  ASSAY_CHECK(options_.polls_per_visit > 0, "ExecutorOptions::polls_per_visit is 0; it must be at least 1");
  scheduler_->set_events(this);
}

Executor::~Executor() {
  ASSAY_CHECK(scheduler_->is_owner(), "an Executor was destroyed on another thread than the one that made it");
  ASSAY_CHECK(!in_turn_, "an Executor was destroyed from inside itself");
  if (own_reactor_ == nullptr) reactor_->forget_wakeup(scheduler_->wakeup_fd());
}

void Executor::enter(const char* message) const noexcept {
  scheduler_->check_owner();
  ASSAY_CHECK(!in_turn_, message);
}

// Polls ready tasks until the next look around is due, nothing is ready, or `until` is done. Returns how many it took.
std::size_t Executor::run_some(const TaskHeader* until) {
  const std::size_t taken = scheduler_->run(this, options_.polls_per_visit - polls_since_visit_, until);
  polls_since_visit_ += static_cast<std::uint32_t>(taken);
  return taken;
}

// Where nothing is ready the reactor is asked once, to block, and not also to look.
void Executor::run_until_done(const TaskHeader& task) {
  while (!task.has(TaskFlags::done)) {
    if (polls_since_visit_ >= options_.polls_per_visit) visit();
    if (!scheduler_->has_ready()) hear();
    if (!scheduler_->has_ready()) wait();
    run_some(&task);
  }
}

// Queues what other threads, timers and file descriptors have woken. Does not block. True: more timers may be due.
bool Executor::visit() {
  const bool more = hear();
  polls_since_visit_ = 0;
  if (reactor_->size() != 0) wait_for_events(Duration::zero());
  return more;
}

// Queues what other threads and timers have woken. Of many timers that are due only as many fire as are polled until the next
// visit: what the wake touched is still in the cache then. True: more may be due.
bool Executor::hear() {
  scheduler_->drain_inbox();
  return !timers_.empty() && timers_.fire(clock_->now(), options_.polls_per_visit) == options_.polls_per_visit;
}

void Executor::wait_for_events(std::optional<Duration> timeout) {
  if (reactor_->wait(scheduler_->wakeup_fd(), timeout)) scheduler_->clear_wakeup();
}

// Nothing is ready: blocks until something is. May return early.
void Executor::wait() {
  if (clock_->is_virtual() && reactor_->size() != 0) {  // which may jump only where no fd is ready
    wait_for_events(Duration::zero());
    if (scheduler_->has_ready()) return;
  }
  const std::optional<Instant> next = timers_.next_deadline();
  if (!scheduler_->prepare_sleep()) return;
  std::optional<Duration> timeout;
  if (next) {
    if (clock_->skip_to(*next)) {
      timeout = Duration::zero();
    } else if (!clock_->is_virtual()) {
      timeout = std::max(saturating_difference(*next, clock_->now()), Duration::zero());
    }
  }
  polls_since_visit_ = 0;
  wait_for_events(timeout);
  scheduler_->finish_sleep();
}

std::size_t Executor::run_until_stalled() {
  enter("Executor::run_until_stalled was called from inside this executor");
  const Turn turn(*this);
  const std::uint64_t before = scheduler_->stats().polls;
  bool more = false;
  do {
    if (polls_since_visit_ >= options_.polls_per_visit || !scheduler_->has_ready()) more = visit();
  } while (run_some(nullptr) != 0 || more);
  if (embedding_ != nullptr) arm_pollable_fd();
  return scheduler_->stats().polls - before;
}

bool Executor::poll_once() {
  enter("Executor::poll_once was called from inside this executor");
  const Turn turn(*this);
  const std::uint64_t before = scheduler_->stats().polls;
  for (bool more = true; more;) {
    more = visit();
    while (scheduler_->run_one(this)) {
      if (scheduler_->stats().polls != before) return true;
    }
  }
  return false;
}

int Executor::pollable_fd() {
  scheduler_->check_owner();
  if (embedding_ == nullptr) embedding_ = std::make_unique<Embedding>(scheduler_->wakeup_fd());
  arm_pollable_fd();
  return embedding_->set.fd();
}

// Brings the pollable fd up to date, as the executor's last act before a foreign loop blocks on it.
void Executor::arm_pollable_fd() {
  static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "internal: poll and epoll name these events alike");
  Embedding& embedding = *embedding_;
  bool ready_now = scheduler_->has_ready();
  if (!embedding.watch(*reactor_)) ready_now = true;  // poll(2) reports at once what cannot be polled
  std::optional<std::int64_t> timeout;
  const std::optional<Instant> next = timers_.next_deadline();
  if (next) {
    const Duration left = std::max(saturating_difference(*next, clock_->now()), Duration::zero());
    if (left == Duration::zero() || !clock_->is_virtual()) timeout = left.count();
  }
  scheduler_->clear_wakeup();  // without fds nobody else does; a wake that comes later raises it again, or is mail
  if (!scheduler_->prepare_sleep()) ready_now = true;
  embedding.set.set_timer(ready_now ? std::optional<std::int64_t>(0) : timeout);
}

void Executor::reserve(std::size_t count, std::size_t bytes) {
  scheduler_->check_owner();
  scheduler_->slab().reserve(count, bytes);
}

TaskInfo Executor::info_of(const TaskHeader& task) {
  TaskInfo info;
  info.id = task.id;
  info.name = task.name;
  info.state = task.has(TaskFlags::running)                      ? TaskState::running
               : task.has(TaskFlags::queued) && task.has(TaskFlags::woken) ? TaskState::ready
                                                                 : TaskState::waiting;
  if (const std::source_location* const where = task.vtable->location(task)) info.waiting_at = *where;
  return info;
}

std::vector<TaskInfo> Executor::tasks() {
  std::vector<TaskInfo> all;
  scheduler_->for_each_task([&](TaskHeader& task) { all.push_back(info_of(task)); });
  std::sort(all.begin(), all.end(), [](const TaskInfo& a, const TaskInfo& b) { return a.id < b.id; });
  return all;
}

void Executor::on_unhandled_exception(TaskHeader& task, std::exception_ptr error) noexcept {
  if (options_.on_unhandled) {
    // Also when JoinHandle::detach() calls it: the handler may not end the executor that owns it.
    const bool was_in_turn = std::exchange(in_turn_, true);
    options_.on_unhandled(info_of(task), std::move(error));
    in_turn_ = was_in_turn;
    return;
  }
  audited::report_line({"an exception left a detached task and ends the program: ", task.name});
  std::rethrow_exception(std::move(error));  // noexcept: std::terminate, which prints what was thrown
}

void Executor::on_stranded(TaskHeader& task) noexcept {
  if (options_.on_stranded == OnStranded::ignore) return;
  const TaskInfo info = info_of(task);
  const std::string id = std::to_string(info.id);
  const std::string line = info.waiting_at ? std::to_string(info.waiting_at->line()) : std::string();
  audited::report_line({"task '", task.name, "' #", id.c_str(),
                        " is Pending and nobody has kept its waker, so it can never run again; waiting at ",
                        info.waiting_at ? info.waiting_at->file_name() : "a future of its own", info.waiting_at ? ":" : "",
                        line.c_str()});
  if (options_.on_stranded == OnStranded::abort) {
    audited::fail("a task was stranded (see the line above, and ExecutorOptions::on_stranded)", __FILE__, __LINE__, task.name);
  }
}

// splitmix64: any seed is as good as another, zero included. Sum and products wrap, on purpose.
std::uint64_t Executor::random() noexcept {
  static_cast<void>(__builtin_add_overflow(random_state_, 0x9e3779b97f4a7c15U, &random_state_));
  std::uint64_t mixed = random_state_;
  static_cast<void>(__builtin_mul_overflow(mixed ^ (mixed >> 30U), 0xbf58476d1ce4e5b9U, &mixed));
  static_cast<void>(__builtin_mul_overflow(mixed ^ (mixed >> 27U), 0x94d049bb133111ebU, &mixed));
  return mixed ^ (mixed >> 31U);
}

void Executor::check_deep() {
  scheduler_->check_deep();
  timers_.check_deep();
  reactor_->check_deep();
}

}  // namespace assay
