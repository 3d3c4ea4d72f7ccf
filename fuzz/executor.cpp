// One input: a few programs, each a tree of futures, and then what happens outside: tasks are spawned, polled, woken,
// cancelled, joined, time passes, the executor ends.
//
// What must hold, whatever the input:
//  - each future is done or dropped exactly once, and nothing is left at the end (Ledger, sanitizers);
//  - who awaits gets what the awaited future came to: its value, its exception, or "cancelled";
//  - no wake is lost: when the executor has stalled, no future waits whose waker was used or whose condition holds;
//  - a task that nobody can wake is counted as stranded, and no other one;
//  - check_deep() after each action.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/audited/system.hpp"
#include "assay/executor.hpp"
#include "assay/join.hpp"
#include "assay/select.hpp"
#include "assay/time.hpp"
#include "assay/yield.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/any_waker.hpp"
#include "assay_testkit/models/row.hpp"
#include "support/byte_reader.hpp"
#include "support/drive.hpp"

namespace {

using assay::Async;
using assay::Context;
using assay::Duration;
using assay::Executor;
using assay::Instant;
using assay::JoinHandle;
using assay::LocalWaker;
using assay::Pending;
using assay::Poll;
using assay::Ready;
using assay::Unit;
using assay::Waker;
using assay::fuzz::ByteReader;
using assay::fuzz::report;
using assay::testkit::AnyWaker;
using assay::testkit::Counted;
using assay::testkit::Ledger;

void expect(bool condition, const char* what) {
  if (!condition) report(what);
}

// What the executor opens costs as much as the rest of a small input, and is never used: nothing sleeps here, time is virtual. So file
// descriptors are numbers, which must be closed once.
class Descriptors {
 public:
  Descriptors() {
    open = made = 0;
    assay::audited::replace_system_calls(&table);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() {
    assay::audited::replace_system_calls(nullptr);
    expect(open == 0, "a file descriptor was left open");
  }

 private:
  static constexpr int first = 1 << 20;
  static inline int open = 0;
  static inline int made = 0;
  static inline const assay::audited::SystemCalls table = [] {
    assay::audited::SystemCalls calls = assay::audited::real_system_calls();
    calls.eventfd = [](unsigned, int) {
      ++open;
      return first + made++;
    };
    calls.close = [](int fd) {
      expect(fd >= first && fd < first + made && --open >= 0, "a file descriptor was closed that was not open");
      return 0;
    };
    calls.write = [](int, const void*, std::size_t) -> ssize_t { report("a sleeper was woken, but nobody sleeps here"); };
    calls.ppoll = [](pollfd*, nfds_t, const timespec*) -> int { report("the executor went to sleep"); };
    return calls;
  }();
};

// ---- programs ----------------------------------------------------------------------------------------------------------

enum class Kind : std::uint8_t {
  // leaves
  value,
  door,
  yield,
  sleep,
  fail,
  await_task,
  spawn_task,
  cancel_task,
  drop_handle,
  never,
  // nodes with children
  sequence,
  caught,
  spawn_and_join,
  join_both,
  select_fair,
  select_biased,
  limit,
  deep,
  eager,
  count
};
constexpr unsigned leaf_kinds = static_cast<unsigned>(Kind::sequence);
constexpr unsigned kinds = static_cast<unsigned>(Kind::count);

struct Node {
  Kind kind = Kind::value;
  std::uint8_t argument = 0;
  std::uint8_t at_end = 0;  // what its destructor does
  std::array<std::uint8_t, 3> children{};
};

struct Programs {
  static constexpr std::size_t max_nodes = 40;
  static constexpr unsigned max_depth = 6;
  static constexpr unsigned most = 4;

  explicit Programs(ByteReader& bytes) {
    nodes.reserve(max_nodes);
    const std::size_t count = 1 + bytes.below(most);
    for (std::size_t i = 0; i < count; ++i) roots.push_back(parse(bytes, 0));
  }

  std::size_t parse(ByteReader& bytes, unsigned depth) {
    const std::size_t me = nodes.size();
    nodes.emplace_back();
    const bool inner = depth < max_depth && nodes.size() < max_nodes;
    const Kind kind = static_cast<Kind>(bytes.below(inner ? kinds : leaf_kinds));
    nodes.at(me).kind = kind;
    nodes.at(me).argument = bytes.byte();
    nodes.at(me).at_end = bytes.byte();
    const std::size_t wanted = children_of(kind, nodes.at(me).argument);
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::size_t child = parse(bytes, depth + 1);
      nodes.at(me).children.at(i) = static_cast<std::uint8_t>(child);
    }
    return me;
  }

  static std::size_t children_of(Kind kind, std::uint8_t argument) {
    switch (kind) {
      case Kind::sequence: return argument % 4;
      case Kind::join_both:
      case Kind::select_fair:
      case Kind::select_biased: return 2;
      case Kind::caught:
      case Kind::spawn_and_join:
      case Kind::limit:
      case Kind::deep:
      case Kind::eager: return 1;
      default: return 0;
    }
  }

  std::vector<Node> nodes;
  assay::testkit::Row<std::size_t, most> roots;
};

// ---- what the world knows ------------------------------------------------------------------------------------------------

struct Failure {
  int id;
};

// What a future came to.
struct Result {
  enum State : std::uint8_t { none, value, failure, cancelled };
  Result() = default;
  Result(State what, int which) : state(what), id(which) {}

  void become(State what, int which) {
    state = what;
    id = which;
  }

  State state = none;
  int id = 0;
  int alive = 0;  // coroutines that will, or would, come to it

  friend bool operator==(const Result& a, const Result& b) { return a.state == b.state && a.id == b.id; }
};

struct TaskRecord {
  std::uint64_t id = 0;
  bool finished = false;   // its root has come to a result ...
  bool destroyed = false;  // ... or was dropped
  bool cancelled = false;  // cancelled before the executor had it as finished
  bool detached = false;
  bool seen_stranded = false;
  std::size_t kept_wakers = 0;  // outside of its own leaves
  Result result;
};

class World;

// A future that is being awaited, as the world sees it.
class Waiting {
 public:
  Waiting(World& world, TaskRecord& task) : world_(&world), task_(&task) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  virtual ~Waiting();

  TaskRecord& task() const { return *task_; }
  bool holds_waker = false;
  virtual bool could_go_on() const = 0;

 protected:
  World& world() const { return *world_; }
  void begin();

 private:
  World* world_;
  TaskRecord* task_;
  bool begun_ = false;
};

class DoorLeaf;

struct Entry {
  AnyWaker waker;
  TaskRecord* task = nullptr;
  DoorLeaf* leaf = nullptr;  // null: left behind, or a copy
};

struct Door {
  std::uint64_t signals = 0;
  std::vector<Entry> entries;
};

class World {
 public:
  static constexpr std::size_t door_count = 4;
  static constexpr std::size_t handle_count = 6;
  static constexpr std::size_t max_tasks = 20;

  World(Ledger& counts, ByteReader& bytes) : ledger(counts), programs(bytes) {
    assay::ExecutorOptions options;
    options.clock = &clock;
    options.backend = assay::Backend::poll;  // no fd is waited for here: fuzz/reactor and fuzz/fd_source do that
    options.on_stranded = assay::OnStranded::ignore;
    options.polls_per_visit = 1 + bytes.below(4);
    options.seed = bytes.byte();
    options.on_unhandled = [this](const assay::TaskInfo& info, const std::exception_ptr& error) { unhandled(info, error); };
    tasks.reserve(max_tasks);
    owner_ = std::make_unique<Executor>(std::move(options));
    executor = owner_.get();
  }

  // ---- actions, from outside and from inside tasks and destructors ----

  bool can_spawn() const { return executor != nullptr && tasks.size() < max_tasks; }
  TaskRecord& new_task();
  JoinHandle<Counted> spawn(TaskRecord& task, std::size_t node);
  void spawn_into(std::size_t slot, std::uint8_t program);

  // The handle's place is empty while the old one goes, since its task's destructors may use it.
  void put_handle(std::size_t slot, JoinHandle<Counted> handle, TaskRecord* task) {
    Slot& place = handles.at(slot % handle_count);
    drop_handle(slot);
    if (!place.handle.is_empty()) {  // a destructor was faster
      const JoinHandle<Counted> loser = std::move(handle);
      if (!loser.is_finished()) task->cancelled = true;
      return;
    }
    place.handle = std::move(handle);
    place.task = task;
  }
  void cancel(std::size_t slot) {
    Slot& place = handles.at(slot % handle_count);
    if (place.handle.is_empty()) return;
    if (!place.handle.is_finished()) place.task->cancelled = true;
    place.handle.cancel();
  }
  void drop_handle(std::size_t slot) {
    Slot& place = handles.at(slot % handle_count);
    if (place.handle.is_empty()) return;
    if (!place.handle.is_finished()) place.task->cancelled = true;
    const JoinHandle<Counted> gone = std::move(place.handle);
  }
  void detach(std::size_t slot) {
    Slot& place = handles.at(slot % handle_count);
    if (place.handle.is_empty()) return;
    JoinHandle<Counted> mine = std::move(place.handle);
    place.task->detached = true;
    mine.detach();
  }
  void try_join(std::size_t slot) {
    Slot& place = handles.at(slot % handle_count);
    if (place.handle.is_empty()) return;
    const bool finished = place.handle.is_finished();
    TaskRecord& task = *place.task;
    Result got;
    try {
      const std::optional<Counted> value = place.handle.try_join();
      if (value) got = Result(Result::value, value->value());
    } catch (const Failure& failure) {
      got = Result(Result::failure, failure.id);
    } catch (const assay::TaskCancelled&) {
      got = Result(Result::cancelled, 0);
    }
    expect(finished == (got.state != Result::none), "try_join() of a finished task");
    if (finished) expect(got == outcome_of(task), "what try_join() gives");
  }
  static Result outcome_of(const TaskRecord& task) {
    if (task.cancelled) return Result(Result::cancelled, 0);
    expect(task.finished, "a task has an outcome, but its future has not finished");
    return task.result;
  }

  void signal(std::size_t door, bool by_value);
  void drop_wakers(std::size_t door);
  void copy_waker(std::size_t door) {
    const auto& entries = doors.at(door % door_count).entries;
    if (!entries.empty()) keep(entries.front());
  }
  void keep(const Entry& entry) {
    if (kept.size() == 8) drop_kept(0);
    kept.push_back(Entry{entry.waker, entry.task, nullptr});
    ++entry.task->kept_wakers;
  }
  void drop_kept(std::size_t which) {
    if (kept.empty()) return;
    const auto place = kept.begin() + static_cast<std::ptrdiff_t>(which % kept.size());
    const Entry gone = std::move(*place);
    kept.erase(place);
    --gone.task->kept_wakers;
  }
  void wake_kept(std::size_t which, bool by_value) {
    if (kept.empty()) return;
    Entry& entry = kept.at(which % kept.size());
    entry.waker.wake_by_ref();
    if (by_value) drop_kept(which);
  }

  // What a destructor does.
  void at_end(std::uint8_t action) noexcept {
    const std::uint8_t argument = action / 16;
    switch (action % 16) {
      case 1: signal(argument, true); break;
      case 2: drop_wakers(argument); break;
      case 3: cancel(argument); break;
      case 4: drop_handle(argument); break;
      case 5: detach(argument); break;
      case 6: wake_kept(argument, true); break;
      case 7: spawn_into(argument, argument); break;
      case 8: copy_waker(argument); break;
      default: break;
    }
  }

  void end_executor() {
    for (TaskRecord& task : tasks) {
      if (!task.destroyed) task.cancelled = true;
    }
    // Destructors use it until it is gone; what they spawn is cancelled at once.
    ending = true;
    delete owner_.release();
    executor = nullptr;
    for (const TaskRecord& task : tasks) expect(task.destroyed, "a future outlived its executor");
    expect(waiting.empty(), "something waits in no executor");
  }

  // ---- the oracle ----

  void check_stalled() {
    expect(executor->tasks().size() == unfinished(), "tasks() lists what is not done");
    for (const Waiting* const each : waiting) {
      expect(!each->could_go_on(), "the executor stalled, but a future could go on: a wake was lost");
    }
    for (TaskRecord& task : tasks) {
      if (task.destroyed || task.seen_stranded || task.kept_wakers > 0) continue;
      const bool held = std::any_of(waiting.begin(), waiting.end(),
                                    [&](const Waiting* each) { return &each->task() == &task && each->holds_waker; });
      if (!held) task.seen_stranded = true;
    }
    std::uint64_t stranded = 0;
    std::uint64_t perhaps = 0;  // stranded, and cancelled before we looked
    for (const TaskRecord& task : tasks) {
      stranded += task.seen_stranded ? 1 : 0;
      perhaps += !task.seen_stranded && task.cancelled ? 1 : 0;
    }
    const std::uint64_t counted = executor->stats().stranded;
    expect(counted >= stranded, "a task is stranded that was not reported");
    expect(counted <= stranded + perhaps, "a task was reported as stranded that is not");
  }

  std::size_t unfinished() const {
    return static_cast<std::size_t>(
        std::count_if(tasks.begin(), tasks.end(), [](const TaskRecord& task) { return !task.destroyed; }));
  }

  struct Slot {
    JoinHandle<Counted> handle;
    TaskRecord* task = nullptr;
  };

  Ledger& ledger;
  assay::VirtualClock clock{Instant(Duration(1000)), false};
  Programs programs;
  std::vector<TaskRecord> tasks;  // never grows beyond what is reserved: their addresses are known
  std::vector<Waiting*> waiting;
  std::vector<Entry> kept;
  std::array<Door, door_count> doors;
  Executor* executor = nullptr;
  bool ending = false;
  std::array<Slot, handle_count> handles;

 private:
  void unhandled(const assay::TaskInfo& info, const std::exception_ptr& error) {
    const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const TaskRecord& each) { return each.id == info.id; });
    expect(found != tasks.end(), "an exception came from nowhere");
    const TaskRecord& task = *found;
    expect(task.detached && !task.cancelled, "an exception came from a task that somebody holds, or that was cancelled");
    try {
      std::rethrow_exception(error);
    } catch (const Failure& failure) {
      expect(task.result == Result(Result::failure, failure.id), "what a detached task threw");
    } catch (const assay::TaskCancelled&) {
      expect(task.result.state == Result::cancelled, "what a detached task threw");
    }
  }

  std::unique_ptr<Executor> owner_;
};

Waiting::~Waiting() {
  if (begun_) std::erase(world_->waiting, this);
}
void Waiting::begin() {
  if (std::exchange(begun_, true)) return;
  world_->waiting.push_back(this);
}

// ---- leaves --------------------------------------------------------------------------------------------------------------

// Ready at the first signal of its door after its first poll.
class DoorLeaf final : public Waiting {
 public:
  using Output = void;
  DoorLeaf(World& world, TaskRecord& task, std::uint8_t argument)
      : Waiting(world, task),
        door_(world.doors.at(argument % World::door_count)),
        remote_((argument & 16) != 0),
        stale_((argument & 32) != 0) {}
  ~DoorLeaf() override {
    const auto mine = entry();
    if (mine == door_.entries.end()) return;
    if (stale_) {
      mine->leaf = nullptr;
      ++task().kept_wakers;
    } else {
      const Entry gone = std::move(*mine);
      door_.entries.erase(mine);
    }
  }

  Poll<void> poll(Context& context) {
    if (!seen_) seen_ = door_.signals;
    begin();
    if (*seen_ != door_.signals) return Ready();
    woken = false;
    AnyWaker waker;
    if (remote_) {
      waker.remote = context.waker();
    } else {
      waker.local = context.local_waker();
    }
    const auto mine = entry();
    if (mine == door_.entries.end()) {
      door_.entries.push_back(Entry{std::move(waker), &task(), this});
    } else {
      mine->waker = std::move(waker);
    }
    holds_waker = true;
    return Pending;
  }

  bool could_go_on() const override { return woken; }
  bool woken = false;

 private:
  std::vector<Entry>::iterator entry() {
    return std::find_if(door_.entries.begin(), door_.entries.end(), [&](const Entry& each) { return each.leaf == this; });
  }

  Door& door_;
  std::optional<std::uint64_t> seen_;
  bool remote_;
  bool stale_;
};

void World::signal(std::size_t door, bool by_value) {
  Door& target = doors.at(door % door_count);
  ++target.signals;
  std::vector<Entry> entries = std::exchange(target.entries, {});
  for (Entry& entry : entries) {
    if (entry.leaf != nullptr) {
      entry.leaf->woken = true;
      entry.leaf->holds_waker = false;
    } else {
      --entry.task->kept_wakers;
    }
    if (by_value) {
      entry.waker.wake();
    } else {
      entry.waker.wake_by_ref();
    }
  }
}

void World::drop_wakers(std::size_t door) {
  const std::vector<Entry> entries = std::exchange(doors.at(door % door_count).entries, {});
  for (const Entry& entry : entries) {
    if (entry.leaf != nullptr) {
      entry.leaf->holds_waker = false;
    } else {
      --entry.task->kept_wakers;
    }
  }
}

// Wraps a future of the runtime that holds a waker while it is Pending.
template <class F, class Condition>
class Watched final : public Waiting {
 public:
  using Output = typename F::Output;
  Watched(World& world, TaskRecord& task, F& future, Condition condition)
      : Waiting(world, task), future_(future), condition_(std::move(condition)) {}

  Poll<Output> poll(Context& context) {
    begin();
    holds_waker = true;
    return future_.poll(context);
  }
  bool could_go_on() const override { return condition_(); }

 private:
  F& future_;
  Condition condition_;
};

// Polls its child more often than it was woken.
template <class F>
class Eager {
 public:
  using Output = typename F::Output;
  Eager(F& future, unsigned extra) : future_(future), extra_(extra) {}

  Poll<Output> poll(Context& context) {
    for (;;) {
      Poll<Output> result = future_.poll(context);
      if (result.is_ready() || extra_ == 0) return result;
      --extra_;
      if (extra_ % 2 == 1) {
        context.local_waker().wake_by_ref();
        return Pending;
      }
    }
  }

 private:
  F& future_;
  unsigned extra_;
};

// ---- trees ---------------------------------------------------------------------------------------------------------------

// Lives as long as a coroutine does.
class Guard {
 public:
  Guard(World& world, Result& result, std::uint8_t at_end) : world_(world), result_(result), at_end_(at_end) {
    ++world_.ledger.futures_made;
    ++result_.alive;
  }
  ~Guard() {
    ++world_.ledger.futures_destroyed;
    --result_.alive;
    world_.at_end(at_end_);
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  World& world_;
  Result& result_;
  std::uint8_t at_end_;
};

Async<int> run(World& world, TaskRecord& task, std::size_t index, Result& result);

Async<int> leaf(World& world, TaskRecord& task, const Node& node) {
  switch (node.kind) {
    case Kind::door: {
      DoorLeaf door(world, task, node.argument);
      co_await door;
      break;
    }
    case Kind::yield:
      for (int i = 0; i < node.argument % 4; ++i) {
        assay::YieldNow once;
        auto never_stuck = [] { return true; };
        Watched watched(world, task, once, never_stuck);
        co_await watched;
      }
      break;
    case Kind::sleep: {
      const Duration delay = node.argument < 250 ? Duration(node.argument % 16) : Duration::max();
      const Instant deadline = assay::saturating_add(world.clock.now(), delay);
      assay::Sleep sleep(delay);
      auto is_late = [&world, deadline] { return world.clock.now() >= deadline; };
      Watched watched(world, task, sleep, is_late);
      co_await watched;
      expect(is_late(), "a sleep ended early");
      break;
    }
    case Kind::fail: throw Failure{node.argument};
    case Kind::await_task: {
      World::Slot& slot = world.handles.at(node.argument % World::handle_count);
      if (slot.handle.is_empty() || slot.task == &task) break;
      TaskRecord& other = *slot.task;
      // The handle goes with this frame, and cancels the other task, if that is still at work.
      struct Mine {
        JoinHandle<Counted> handle;
        TaskRecord& task;
        ~Mine() {
          if (!handle.is_empty() && !handle.is_finished()) task.cancelled = true;
        }
      } mine{std::move(slot.handle), other};
      auto is_done = [&mine] { return mine.handle.is_empty() || mine.handle.is_finished(); };
      Watched watched(world, task, mine.handle, is_done);
      Result got;
      std::exception_ptr error;
      try {
        const Counted value = co_await watched;
        got = Result(Result::value, value.value());
      } catch (const Failure& failure) {
        got = Result(Result::failure, failure.id);
        error = std::current_exception();
      } catch (const assay::TaskCancelled&) {
        got = Result(Result::cancelled, 0);
        error = std::current_exception();
      }
      expect(got == World::outcome_of(other), "what a JoinHandle gives");
      if (error) std::rethrow_exception(error);
      break;
    }
    case Kind::spawn_task: world.spawn_into(node.argument, node.argument / 16); break;
    case Kind::cancel_task: world.cancel(node.argument); break;
    case Kind::drop_handle: world.drop_handle(node.argument); break;
    case Kind::never: {
      assay::Forever<> forever;
      auto is_never = [] { return false; };
      Watched watched(world, task, forever, is_never);
      co_await watched;
      break;
    }
    default: break;
  }
  co_return node.argument;
}

Async<int> deep(World& world, TaskRecord& task, std::size_t index, Result& result, int depth) {
  const Guard guard(world, result, 0);
  if (depth == 0) {
    const int value = co_await run(world, task, index, result);
    co_return value;
  }
  const int value = co_await deep(world, task, index, result, depth - 1);
  co_return value;
}

Async<int> inner(World& world, TaskRecord& task, const Node& node) {
  int sum = node.argument;
  std::array<Result, 3> results;
  switch (node.kind) {
    case Kind::sequence:
      for (std::size_t i = 0; i < Programs::children_of(node.kind, node.argument); ++i) {
        const int value = co_await run(world, task, node.children.at(i), results.at(i));
        expect(results.at(i) == Result(Result::value, value), "the value of an awaited coroutine");
        sum = (sum * 31 + value) % 10007;
      }
      break;
    case Kind::caught:
      try {
        const int value = co_await run(world, task, node.children.at(0), results.at(0));
        expect(results.at(0) == Result(Result::value, value), "the value of an awaited coroutine");
        sum += value;
      } catch (const Failure& failure) {
        expect(results.at(0) == Result(Result::failure, failure.id), "the exception of an awaited coroutine");
      } catch (const assay::TaskCancelled&) {
        expect(results.at(0).state == Result::cancelled, "the cancellation that an awaited coroutine saw");
      }
      break;
    case Kind::spawn_and_join: {
      if (!world.can_spawn() || world.ending) break;
      TaskRecord& child = world.new_task();
      JoinHandle<Counted> handle = world.spawn(child, node.children.at(0));
      struct Mine {
        JoinHandle<Counted>& handle;
        TaskRecord& task;
        ~Mine() {
          if (!handle.is_empty() && !handle.is_finished()) task.cancelled = true;
        }
      } const mine{handle, child};
      auto is_done = [&handle] { return handle.is_empty() || handle.is_finished(); };
      Watched watched(world, task, handle, is_done);
      const Counted value = co_await watched;
      expect(World::outcome_of(child) == Result(Result::value, value.value()), "what a spawned task gives");
      sum += value.value();
      break;
    }
    case Kind::join_both: {
      Async<int> a = run(world, task, node.children.at(0), results.at(0));
      Async<int> b = run(world, task, node.children.at(1), results.at(1));
      auto both = assay::join(std::move(a), std::move(b));
      const std::tuple<int, int> values = co_await both;
      expect(results.at(0) == Result(Result::value, std::get<0>(values)), "the first value of join");
      expect(results.at(1) == Result(Result::value, std::get<1>(values)), "the second value of join");
      sum += std::get<0>(values) + std::get<1>(values);
      break;
    }
    case Kind::select_fair:
    case Kind::select_biased: {
      Async<int> a = run(world, task, node.children.at(0), results.at(0));
      Async<int> b = run(world, task, node.children.at(1), results.at(1));
      std::variant<int, int> first;
      if (node.kind == Kind::select_fair) {
        auto either = assay::select(std::move(a), std::move(b));
        first = co_await either;
        expect(results.at(0).alive + results.at(1).alive == 0, "select has decided, but a future of it is alive");
      } else {
        auto either = assay::select_biased(std::move(a), std::move(b));
        first = co_await either;
        expect(results.at(0).alive + results.at(1).alive == 0, "select has decided, but a future of it is alive");
      }
      const int value = first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
      expect(results.at(first.index()) == Result(Result::value, value), "the value of select");
      expect(results.at(1 - first.index()).state == Result::none, "the loser of select came to a result as well");
      sum += value;
      break;
    }
    case Kind::limit: {
      const Duration delay(node.argument % 16);
      const Instant deadline = assay::saturating_add(world.clock.now(), delay);
      Async<int> child = run(world, task, node.children.at(0), results.at(0));
      auto limited = assay::timeout(delay, std::move(child));
      auto is_late = [&world, deadline] { return world.clock.now() >= deadline; };
      Watched watched(world, task, limited, is_late);
      const std::optional<int> value = co_await watched;
      expect(results.at(0).alive == 0, "timeout has decided, but its future is alive");
      if (value) {
        expect(results.at(0) == Result(Result::value, *value), "the value of timeout");
        sum += *value;
      } else {
        expect(is_late(), "a timeout came early");
        expect(results.at(0).state == Result::none, "a timeout came although there is a result");
      }
      break;
    }
    case Kind::deep: {
      const int value = co_await deep(world, task, node.children.at(0), results.at(0), node.argument % 50);
      expect(results.at(0) == Result(Result::value, value), "the value of a deep chain");
      sum += value;
      break;
    }
    case Kind::eager: {
      Async<int> child = run(world, task, node.children.at(0), results.at(0));
      Eager eager(child, node.argument % 5);
      const int value = co_await eager;
      expect(results.at(0) == Result(Result::value, value), "the value of a future that was polled more than woken");
      sum += value;
      break;
    }
    default: break;
  }
  co_return sum % 10007;
}

Async<int> run(World& world, TaskRecord& task, std::size_t index, Result& result) {
  const Node& node = world.programs.nodes.at(index);
  const Guard guard(world, result, node.at_end);
  expect(result.state == Result::none, "a future ran twice");
  try {
    int value = 0;
    if (static_cast<unsigned>(node.kind) < leaf_kinds) {
      value = co_await leaf(world, task, node);
    } else {
      value = co_await inner(world, task, node);
    }
    result.become(Result::value, value);
    co_return value;
  } catch (const Failure& failure) {
    result.become(Result::failure, failure.id);
    throw;
  } catch (const assay::TaskCancelled&) {
    result.become(Result::cancelled, 0);
    throw;
  }
}

// The life of a task's future.
class Life {
 public:
  explicit Life(TaskRecord& task) : task_(&task) {}
  Life(Life&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  Life& operator=(Life&&) = delete;
  ~Life() {
    if (task_ == nullptr) return;
    expect(!task_->destroyed, "a task's future was destroyed twice");
    task_->destroyed = true;
  }

 private:
  TaskRecord* task_;
};

Async<Counted> body(World& world, TaskRecord& task, std::size_t node) {
  const int value = co_await run(world, task, node, task.result);
  expect(task.result == Result(Result::value, value), "the value of a task's root");
  co_return Counted(world.ledger, value);
}

// A hand-written future around the coroutine: the one that is a task's own.
class TaskFuture {
 public:
  using Output = Counted;
  TaskFuture(World& world, TaskRecord& task, Life life, std::size_t node)
      : task_(task), life_(std::move(life)), body_(body(world, task, node)) {}
  Poll<Counted> poll(Context& context) {
    expect(!task_.finished && !task_.destroyed, "a task was polled after its end");
    try {
      Poll<Counted> result = body_.poll(context);
      task_.finished = result.is_ready();
      return result;
    } catch (...) {
      task_.finished = true;
      throw;
    }
  }
  const std::source_location* waiting_at() const noexcept { return body_.waiting_at(); }

 private:
  TaskRecord& task_;
  // Few slots make a chunk of the slab, of which check_deep() looks at each. Never read.
  [[maybe_unused]] std::array<std::byte, 3000> bulk_;
  Life life_;  // ends after the frames, whose destructors may look at the task
  Async<Counted> body_;
};

TaskRecord& World::new_task() {
  expect(tasks.size() < tasks.capacity(), "too many tasks");
  tasks.emplace_back().cancelled = ending;
  return tasks.back();
}

JoinHandle<Counted> World::spawn(TaskRecord& task, std::size_t node) {
  if (node % 2 == 0) {
    JoinHandle<Counted> handle = executor->spawn(TaskFuture(*this, task, Life(task), node));
    task.id = handle.id();
    return handle;
  }
  // A callable with arguments, which is called at the first poll. Until then `life` stands for the future.
  JoinHandle<Counted> handle = executor->spawn(
      [life = Life(task)](World* world, TaskRecord* record, std::size_t root) mutable {
        return TaskFuture(*world, *record, std::move(life), root);
      },
      this, &task, node);
  task.id = handle.id();
  return handle;
}

void World::spawn_into(std::size_t slot, std::uint8_t program) {
  if (!can_spawn()) return;
  TaskRecord& task = new_task();
  JoinHandle<Counted> handle = spawn(task, programs.roots.at(program % programs.roots.size()));
  put_handle(slot, std::move(handle), &task);
}

// ---- outside -------------------------------------------------------------------------------------------------------------

enum class Outside : std::uint8_t {
  spawn,
  spawn_detached,
  poll,
  run,
  signal,
  signal_by_ref,
  drop_wakers,
  copy_waker,
  wake_kept,
  drop_kept,
  cancel,
  detach,
  drop_handle,
  try_join,
  advance,
  block_on,
  end,
  count
};

void act(World& world, Outside what, std::uint8_t argument) {
  Executor* const executor = world.executor;
  switch (what) {
    case Outside::spawn: world.spawn_into(argument, argument / 16); break;
    case Outside::spawn_detached: {
      if (!world.can_spawn()) break;
      TaskRecord& task = world.new_task();
      task.detached = true;
      const auto& roots = world.programs.roots;
      executor->spawn_detached("detached", TaskFuture(world, task, Life(task), roots.at(argument % roots.size())));
      task.id = executor->stats().spawned;
      break;
    }
    case Outside::poll:
      for (int i = 0; executor != nullptr && i <= argument % 8; ++i) {
        if (!executor->poll_once()) break;
      }
      break;
    case Outside::run:
      if (executor == nullptr) break;
      executor->run_until_stalled();
      world.check_stalled();
      break;
    case Outside::signal: world.signal(argument, true); break;
    case Outside::signal_by_ref: world.signal(argument, false); break;
    case Outside::drop_wakers: world.drop_wakers(argument); break;
    case Outside::copy_waker: world.copy_waker(argument); break;
    case Outside::wake_kept: world.wake_kept(argument, argument % 2 == 0); break;
    case Outside::drop_kept: world.drop_kept(argument); break;
    case Outside::cancel: world.cancel(argument); break;
    case Outside::detach: world.detach(argument); break;
    case Outside::drop_handle: world.drop_handle(argument); break;
    case Outside::try_join: world.try_join(argument); break;
    case Outside::advance: world.clock.advance(argument < 250 ? Duration(argument % 32) : Duration::max()); break;
    case Outside::block_on:
      if (executor == nullptr) break;
      executor->block_on(assay::yield_now());
      break;
    default:
      if (executor != nullptr && argument % 16 == 0) world.end_executor();
      break;
  }
  if (world.executor != nullptr) world.executor->check_deep();
}

// Lets go of everything, in an order that the input chose, and looks whether anything is left.
void finish(World& world, bool executor_first) {
  if (executor_first && world.executor != nullptr) world.end_executor();
  for (std::size_t slot = 0; slot < World::handle_count; ++slot) {
    while (!world.handles.at(slot).handle.is_empty()) world.drop_handle(slot);
  }
  while (!world.kept.empty()) world.drop_kept(0);
  for (std::size_t door = 0; door < World::door_count; ++door) world.drop_wakers(door);
  if (world.executor == nullptr) return;
  world.executor->run_until_stalled();
  world.check_stalled();
  // Polls may have made new ones.
  for (std::size_t slot = 0; slot < World::handle_count; ++slot) {
    while (!world.handles.at(slot).handle.is_empty()) world.detach(slot);
  }
  while (!world.kept.empty()) world.drop_kept(0);
  for (std::size_t door = 0; door < World::door_count; ++door) world.drop_wakers(door);
  world.executor->run_until_stalled();
  if (world.kept.empty() && world.waiting.empty()) {
    expect(world.executor->live_tasks() == 0, "tasks are left in memory that nothing holds");
  }
  world.end_executor();
  for (std::size_t slot = 0; slot < World::handle_count; ++slot) world.drop_handle(slot);
  while (!world.kept.empty()) world.drop_kept(0);
  for (std::size_t door = 0; door < World::door_count; ++door) world.drop_wakers(door);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader bytes(data, size);
  const Descriptors descriptors;
  Ledger ledger;
  {
    const bool executor_first = bytes.byte() % 2 == 0;
    World world(ledger, bytes);
    for (int i = 0; i < assay::fuzz::max_steps && !bytes.empty(); ++i) {
      const auto what = static_cast<Outside>(bytes.below(static_cast<unsigned>(Outside::count)));
      const std::uint8_t argument = bytes.byte();
      if (assay::fuzz::is_traced()) std::fprintf(stderr, "outside %d %d\n", static_cast<int>(what), argument);
      act(world, what, argument);
    }
    finish(world, executor_first);
  }
  assay::fuzz::check_ledger(ledger);
  // So that an input does the same whatever ran before it.
  assay::audited::trim_frame_pool();
  return 0;
}
