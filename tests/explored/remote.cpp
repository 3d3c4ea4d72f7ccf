// threads::Remote against a whole executor, in every interleaving: another thread spawns tasks in it, waits for them, cancels and
// detaches them, while the owner runs or ends the executor. Each handle comes to its end, each future is destroyed once, nothing
// leaks, and no task is forgotten.
#include "world.hpp"

#include "assay/threads.hpp"

namespace {

// What becomes of the future that is spawned. The owner's thread, while there is an executor.
struct Fate {
  int born = 0;
  int destroyed = 0;
  int polls = 0;
  LocalWaker waiting;  // for its end

  bool is_over() const { return born != 0 && born == destroyed; }
};

// A future that is Ready at its first poll, or never.
class Job {
 public:
  using Output = int;
  Job(Fate& fate, bool is_ready) : fate_(&fate), is_ready_(is_ready) { ++fate_->born; }
  Job(Job&& other) noexcept : fate_(std::exchange(other.fate_, nullptr)), is_ready_(other.is_ready_) {}
  Job& operator=(Job&&) = delete;
  ~Job() {
    if (fate_ == nullptr) return;
    ++fate_->destroyed;
    std::exchange(fate_->waiting, LocalWaker()).wake();
  }
  Poll<int> poll(Context& context) {
    ++fate_->polls;
    kept_ = context.local_waker();
    return is_ready_ ? Poll<int>(Ready(7)) : Poll<int>(Pending);
  }

 private:
  Fate* fate_;
  bool is_ready_;
  LocalWaker kept_;
};

// Ready when the future that is spawned has come to its end.
class End {
 public:
  using Output = void;
  explicit End(Fate& fate) : fate_(&fate) {}
  Poll<void> poll(Context& context) {
    if (fate_->is_over()) return Ready();
    fate_->waiting = context.local_waker();
    return Pending;
  }

 private:
  Fate* fate_;
};

// What waiting for a handle comes to: the output, or -1 when it was cancelled.
int outcome_of(threads::RemoteHandle<int>& handle) {
  try {
    return handle.join();
  } catch (const TaskCancelled&) {
    return -1;
  }
}

enum class Owner { runs, dies };
enum class Other { joins, cancels, detaches, drops_remote };

constexpr std::array<const char*, 2> owner_names{"runs", "dies"};
constexpr std::array<const char*, 4> other_names{"spawn_and_join", "spawn_and_cancel", "spawn_and_detach", "drop"};

void use(const threads::Remote& remote, Other other, Owner owner, Fate& fate) {
  if (other == Other::drops_remote) return;
  threads::RemoteHandle<int> handle = remote.spawn(Job(fate, other != Other::cancels));
  switch (other) {
    case Other::joins: {
      const int outcome = outcome_of(handle);
      return modelled::check(outcome == 7 || (outcome == -1 && owner == Owner::dies), "the outcome of a remote task");
    }
    case Other::cancels:
      handle.cancel();
      return modelled::check(outcome_of(handle) == -1, "a task that is never done, and cancelled");
    case Other::detaches:
      return handle.detach();
    case Other::drops_remote:
      return;
  }
}

void run_case(Owner owner, Other other) {
  System system;
  Fate fate;
  {
    ModelReactor reactor(system);
    ExecutorOptions options;
    options.reactor = &reactor;
    std::optional<Executor> executor(std::in_place, options);
    std::optional<threads::Remote> remote(std::in_place, *executor);
    executor->run_until_stalled();  // the task that serves the Remote waits
    modelled::Thread thread([mine = *remote, other, owner, &fate] { use(mine, other, owner, fate); });
    if (other == Other::drops_remote) remote.reset();
    if (owner == Owner::runs) {
      if (other == Other::drops_remote) {
        executor->run_until_stalled();
      } else {
        executor->block_on(End(fate));
      }
      thread.join();
      remote.reset();
      executor->run_until_stalled();
      modelled::check(executor->live_tasks() == 0, "no task is left once the last Remote is gone");
      modelled::check(fate.polls == 1 || other == Other::cancels || other == Other::drops_remote, "what is spawned is run");
    }
    executor.reset();
    if (owner == Owner::dies) thread.join();
  }
  modelled::check(fate.born == fate.destroyed, "each future is destroyed once");
}

// A pool of real size against a thread that gives it work: it ends with its threads.
void run_pool(bool cancels) {
  int ran = 0;
  sync::Mutex mutex;
  threads::BasicBlockingPool<modelled::Thread> pool({.max_threads = 2});
  const auto work = [&] {
    const sync::Lock lock(mutex);
    return ++ran;
  };
  threads::RemoteHandle<int> first = pool.spawn_blocking(work);
  threads::RemoteHandle<int> second = pool.spawn_blocking(work);
  if (cancels) {
    first.cancel();
    const int outcome = outcome_of(first);
    modelled::check(outcome == -1 || outcome == 1 || outcome == 2, "done or cancelled");
  }
  modelled::check(outcome_of(second) > 0, "a job is run");
  modelled::check(pool.threads() <= 2, "no more threads than there may be");
}

std::vector<std::unique_ptr<testkit::RegisteredModel>> register_all() {
  std::vector<std::unique_ptr<testkit::RegisteredModel>> models;
  const auto add = [&](const std::string& name, std::function<void()> body, bool is_deep = false) {
    models.push_back(std::make_unique<testkit::RegisteredModel>(
        name, [name, body = std::move(body)] { return testkit::run_explored(name.c_str(), body); }, is_deep));
  };
  for (const Owner owner : {Owner::runs, Owner::dies}) {
    for (const Other other : {Other::joins, Other::cancels, Other::detaches, Other::drops_remote}) {
      add(std::string("remote_") + other_names.at(static_cast<std::size_t>(other)) + "_while_executor_" +
              owner_names.at(static_cast<std::size_t>(owner)),
          [owner, other] { run_case(owner, other); }, owner == Owner::runs && other == Other::cancels);
    }
  }
  for (const bool cancels : {false, true}) {
    add(cancels ? "blocking_pool_cancel" : "blocking_pool", [cancels] { run_pool(cancels); });
  }
  return models;
}

const std::vector<std::unique_ptr<testkit::RegisteredModel>> registered = register_all();

}  // namespace

int main(int count, char** words) { return testkit::models_main(count, words); }
