// A whole executor against other threads, in every interleaving: the production source of all of it, with atomics,
// threads, memory and the eventfd of the explorer. One task gives its Waker away and waits; another thread wakes with
// it, drops it, or clones it; and meanwhile the owner lets the task run, complete or stall, cancels it, detaches it, or
// ends the executor.
//
// However they interleave: no wake is lost, what was written before a wake is seen in the poll that follows, nothing
// leaks, nothing is used after its end (plain memory: with AddressSanitizer), and each future is destroyed once.
#include "world.hpp"

namespace {

// What the threads share.
struct Shared {
  sync::Mutex mutex;
  std::vector<Waker> given;      // under the mutex
  int wakes = 0;                 // how many threads will wake
  sync::Atomic<int> written{0};  // one more by each of them, before it does
  sync::Cell<int> message{0};    // likewise, where there is only one: seen in the poll that its wake brings about
  int born = 0;
  int destroyed = 0;
};

// Gives `wakers` Wakers away at its first poll. Ready when it has seen what was written, or at its second poll.
class Giving {
 public:
  using Output = int;
  Giving(Shared& shared, int wakers, bool completes) : shared_(&shared), wakers_(wakers), completes_(completes) {
    ++shared.born;
  }
  Giving(Giving&& other) noexcept : shared_(other.shared_), wakers_(other.wakers_), completes_(other.completes_) {
    ++shared_->born;
  }
  Giving(const Giving&) = delete;
  Giving& operator=(const Giving&) = delete;
  ~Giving() { ++shared_->destroyed; }

  Poll<int> poll(Context& context) {
    const bool is_first = std::exchange(is_first_, false);
    if (is_first) {
      const sync::Lock lock(shared_->mutex);
      for (int count = 0; count != wakers_; ++count) shared_->given.push_back(context.waker());
      if (completes_) context.wake_again();
      return Pending;
    }
    if (completes_) return Ready(7);
    if (shared_->wakes == 1)
      modelled::check(shared_->message.get() == 42, "the poll after a wake sees what was written before");
    // A wake that publishes nothing is one after which the task waits for ever.
    return shared_->written.load_relaxed() == shared_->wakes ? Poll<int>(Ready(7)) : Poll<int>(Pending);
  }

 private:
  Shared* shared_;
  int wakers_;
  bool completes_;
  bool is_first_ = true;
};

enum class Owner { waits, stalls, completes, cancels, detaches, dies };
enum class Other { wakes, wakes_by_reference, drops, clones };

constexpr std::array<const char*, 6> owner_names{"poll", "stall", "completion", "cancel", "detach", "death"};
constexpr std::array<const char*, 4> other_names{"wake", "wake_by_ref", "drop", "clone"};

// One of the Wakers. The task was polled before the threads began, so there is one for each.
Waker take(Shared& shared) {
  const sync::Lock lock(shared.mutex);
  Waker taken = std::move(shared.given.back());
  shared.given.pop_back();
  return taken;
}

void use(Shared& shared, Other other) {
  Waker waker = take(shared);
  if (other != Other::drops) {
    if (shared.wakes == 1) shared.message.set(42);
    shared.written.fetch_add_relaxed(1);
  }
  switch (other) {
    case Other::wakes:
      return std::move(waker).wake();
    case Other::wakes_by_reference:
      return waker.wake_by_ref();
    case Other::drops:
      return;
    case Other::clones: {
      Waker clone = waker;
      waker = Waker();
      return std::move(clone).wake();
    }
  }
}

void act(Owner owner, Shared& shared, Reactor& reactor, const std::vector<Other>& others) {
  ExecutorOptions options;
  options.reactor = &reactor;
  options.on_stranded = OnStranded::ignore;
  std::optional<Executor> executor(std::in_place, options);
  std::optional<JoinHandle<int>> handle(
      executor->spawn(Giving(shared, static_cast<int>(others.size()), owner == Owner::completes)));
  executor->run_until_stalled();  // the first poll, before the others begin: else they find nothing
  std::vector<modelled::Thread> threads_of_others;
  for (const Other other : others) threads_of_others.emplace_back([&shared, other] { use(shared, other); });
  switch (owner) {
    case Owner::stalls:
      executor->run_until_stalled();
      break;
    case Owner::waits:
    case Owner::completes:
      modelled::check(executor->block_on(std::move(*handle)) == 7, "the task's value");
      break;
    case Owner::cancels:
      handle.reset();
      executor->run_until_stalled();
      break;
    case Owner::detaches:
      std::move(*handle).detach();
      break;
    case Owner::dies:
      break;
  }
  if (owner == Owner::dies) {
    executor.reset();
    handle.reset();
  } else {
    handle.reset();
    executor.reset();
  }
  for (modelled::Thread& thread : threads_of_others) thread.join();
}

void run_case(Owner owner, const std::vector<Other>& others) {
  System system;
  Shared shared;
  for (const Other other : others) shared.wakes += other == Other::drops ? 0 : 1;
  {
    ModelReactor reactor(system);
    act(owner, shared, reactor, others);
  }
  shared.given.clear();
  modelled::check(shared.born == shared.destroyed, "each future is destroyed once");
}

// Each thing that the owner may do against each that one thread may do, and against pairs.
std::vector<std::unique_ptr<testkit::RegisteredModel>> register_all() {
  std::vector<std::unique_ptr<testkit::RegisteredModel>> models;
  const auto add = [&](Owner owner, std::vector<Other> others, bool is_deep = false) {
    std::string name = owner_names.at(static_cast<std::size_t>(owner));
    for (const Other other : others) name += std::string("_and_") + other_names.at(static_cast<std::size_t>(other));
    const auto run = [name, owner, others] {
      return testkit::run_explored(name.c_str(), [owner, others] { run_case(owner, others); });
    };
    models.push_back(std::make_unique<testkit::RegisteredModel>(name, run, is_deep));
  };
  for (const Owner owner :
       {Owner::waits, Owner::stalls, Owner::completes, Owner::cancels, Owner::detaches, Owner::dies}) {
    for (const Other other : {Other::wakes, Other::wakes_by_reference, Other::drops, Other::clones}) {
      if (owner != Owner::waits || other != Other::drops) add(owner, {other});
    }
    add(owner, {Other::wakes, Other::wakes}, owner == Owner::waits || owner == Owner::stalls || owner == Owner::dies);
    add(owner, {Other::wakes, Other::drops});
    if (owner != Owner::waits) add(owner, {Other::drops, Other::drops});
  }
  return models;
}

const std::vector<std::unique_ptr<testkit::RegisteredModel>> registered = register_all();

}  // namespace

int main(int count, char** words) { return testkit::models_main(count, words); }
