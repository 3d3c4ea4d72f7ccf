// The life of tasks, their handles and their wakers against a scheduler of integers, which knows all rules of task.hpp,
// inbox.hpp and scheduler.hpp, and neither memory nor threads.
//
// Tasks do what a *plan* says: a list of actions for the next poll, another for the destructor of the future. The same
// actions are also done from outside, so that each happens before, during and after polls, in destructors, while the
// executor goes, and after it is gone.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "assay/executor.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/any_waker.hpp"
#include "assay_testkit/models/row.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

enum class TaskAction : std::uint8_t {
  // anywhere
  spawn,
  wake_by_ref,
  wake,
  drop_waker,
  clone_waker,
  clone_as_local,
  cancel,
  detach,
  drop_handle,
  try_join,
  // in a poll only
  keep_local,
  keep_remote,
  wake_self,
  wake_self_remotely,
  await,
  ready,
  fail,
  count
};

struct PlannedAction {
  TaskAction what = TaskAction::spawn;
  std::uint8_t x = 0;
  std::uint8_t y = 0;
};

class TaskPlan {
 public:
  void add(const PlannedAction& action) {
    if (size_ < actions_.size()) actions_.at(size_++) = action;
  }
  const PlannedAction* begin() const { return actions_.data(); }
  const PlannedAction* end() const { return actions_.data() + size_; }

 private:
  std::array<PlannedAction, 6> actions_{};
  std::size_t size_ = 0;
};

// What happened, in order: a letter and a task.
using TaskLog = std::vector<std::pair<char, std::size_t>>;

enum class TaskOutcome : std::uint8_t { none, value, error };

struct TaskState {
  std::size_t slot = 0;
  bool freed = false;
  bool done = false, cancelled = false, running = false, queued = false, woken = false, cancel_asked = false;
  bool handle = false, reported = false, orphan = false;
  unsigned local = 0;   // LocalWakers
  unsigned remote = 0;  // Wakers, and one for the local holders of an orphan
  bool group = false, notified = false, in_inbox = false;
  TaskOutcome outcome = TaskOutcome::none;
  std::optional<std::size_t> joiner;

  bool is_held() const { return queued || running || handle || group || local > 0; }
  bool is_stranded() const { return local == 0 && !done && !queued && !running && !group && !reported; }
};

struct WakerModel {
  std::size_t task = 0;
  bool remote = false;  // its reference is the any-thread kind
  bool local_type = false;
};

class TaskModel {
 public:
  static constexpr std::size_t max_tasks = 10;
  static constexpr std::size_t waker_count = 6;
  static constexpr bool oldest_first = ASSAY_HARDENING_LEVEL >= 3;
  static constexpr std::size_t chunk_slots = 7;  // so many tasks of TaskSystem's size share a chunk of the slab
  static constexpr std::size_t action_count = static_cast<std::size_t>(TaskAction::count);

  enum Op : std::uint8_t { action, poll_once, run_until_stalled, plan_poll, plan_drop, end_executor };
  static constexpr std::array<const char*, 12> names{"action",    "action",    "action",    "poll_once",
                                                     "poll_once", "run_until_stalled", "plan_poll", "plan_poll",
                                                     "plan_poll", "plan_poll", "plan_drop", "end_executor"};
  static Op op_of(const Step& step) {
    static constexpr std::array<Op, names.size()> ops{action,    action,    action,    poll_once, poll_once, run_until_stalled,
                                               plan_poll, plan_poll, plan_poll, plan_poll, plan_drop, end_executor};
    return ops.at(step.op);
  }
  // `a` says what, `b` on which task or waker; of a plan, `c` also for which task.
  static PlannedAction action_of(const Step& step) {
    return {static_cast<TaskAction>(step.a % action_count), static_cast<std::uint8_t>(step.b % 16), static_cast<std::uint8_t>(step.b / 16)};
  }
  static std::size_t task_of(const Step& step) { return step.c % max_tasks; }

  explicit TaskModel(std::uint8_t option) {
    static constexpr std::array<std::uint32_t, 4> visits{1, 2, 3, 61};
    polls_per_visit = visits.at(option % visits.size());
  }

  bool allows(const Step& step) const {
    const Op op = op_of(step);
    // The end of the executor ends most of what is interesting: one in sixteen.
    if (op == end_executor) return alive && step.a % 16 == 0;
    return alive || (op != poll_once && op != run_until_stalled);
  }

  void apply(const Step& step) {
    log.clear();
    switch (op_of(step)) {
      case action: act(action_of(step), std::nullopt); break;
      case poll_once: {
        visit();
        const std::uint64_t before = stats.polls;
        while (stats.polls == before && run_one()) {
        }
        break;
      }
      case run_until_stalled:
        for (;;) {
          if (since_visit >= polls_per_visit || queue.empty()) visit();
          if (!run_one()) break;
          ++since_visit;
        }
        break;
      case plan_poll: poll_plans.at(task_of(step)).add(action_of(step)); break;
      case plan_drop: drop_plans.at(task_of(step)).add(action_of(step)); break;
      case end_executor: close(); break;
    }
  }

  std::size_t live() const {
    return static_cast<std::size_t>(std::count_if(tasks.begin(), tasks.end(), [](const auto& task) { return !task.freed; }));
  }
  std::size_t futures_alive() const {
    return static_cast<std::size_t>(std::count_if(tasks.begin(), tasks.end(), [](const auto& task) { return !task.done; }));
  }
  std::size_t outputs_alive() const {
    return static_cast<std::size_t>(
        std::count_if(tasks.begin(), tasks.end(), [](const auto& task) { return task.outcome == TaskOutcome::value; }));
  }

  Row<TaskState, max_tasks> tasks;
  Row<std::size_t, max_tasks> queue;
  Row<std::size_t, max_tasks> inbox;
  std::array<std::optional<WakerModel>, waker_count> wakers{};
  std::array<bool, max_tasks> handles{};
  std::array<TaskPlan, max_tasks> poll_plans{};
  std::array<TaskPlan, max_tasks> drop_plans{};
  Row<std::size_t, 2 * chunk_slots> free_slots;
  std::size_t slots = 0;
  ExecutorStats stats;
  TaskLog log;
  std::uint32_t polls_per_visit = 1;
  std::uint32_t since_visit = 0;
  bool closing = false;
  bool alive = true;

 private:
  TaskState& at(std::size_t task) { return tasks.at(task); }

  // `polled`: the task in whose poll this happens.
  void act(const PlannedAction& todo, std::optional<std::size_t> polled) {
    auto& waker = wakers.at(todo.x % waker_count);
    const std::size_t task = todo.x % max_tasks;
    switch (todo.what) {
      case TaskAction::spawn: spawn(); break;
      case TaskAction::wake_by_ref:
        if (waker) wake_through(*waker);
        break;
      case TaskAction::wake:
        if (waker) {
          const WakerModel used = *std::exchange(waker, std::nullopt);
          wake_through(used);
          release(used);
        }
        break;
      case TaskAction::drop_waker:
        if (waker) release(*std::exchange(waker, std::nullopt));
        break;
      case TaskAction::clone_waker:
        if (waker) put(todo.y, *waker);
        break;
      case TaskAction::clone_as_local:
        if (waker && !waker->local_type) put(todo.y, WakerModel{waker->task, true, true});
        break;
      case TaskAction::cancel:
        if (handles.at(task)) cancel(task);
        break;
      case TaskAction::detach:
        if (std::exchange(handles.at(task), false)) detach(task);
        break;
      case TaskAction::drop_handle:
        if (std::exchange(handles.at(task), false)) drop_handle(task);
        break;
      case TaskAction::try_join:
        if (handles.at(task) && at(task).done && !at(task).running) take(task);
        break;
      default:
        if (polled) act_in_poll(todo, *polled);
        break;
    }
  }

  void act_in_poll(const PlannedAction& todo, std::size_t me) {
    const std::size_t task = todo.x % max_tasks;
    switch (todo.what) {
      case TaskAction::keep_local: put(todo.x, WakerModel{me, false, true}); break;
      case TaskAction::keep_remote: put(todo.x, WakerModel{me, true, false}); break;
      case TaskAction::wake_self: wake_local(me); break;
      case TaskAction::wake_self_remotely: wake_remote(me); break;
      case TaskAction::await:
        if (!handles.at(task) || at(task).running) break;
        if (at(task).done) {
          take(task);
        } else if (at(task).joiner != me) {
          ++at(me).local;
          const auto old = std::exchange(at(task).joiner, me);
          if (old) drop_local(*old);
        }
        break;
      default: break;  // ready, fail: seen by poll()
    }
  }

  void put(std::size_t place, WakerModel waker) {
    ++(waker.remote ? at(waker.task).remote : at(waker.task).local);
    const auto old = std::exchange(wakers.at(place % waker_count), waker);
    if (old) release(*old);
  }
  void wake_through(const WakerModel& waker) { waker.remote ? wake_remote(waker.task) : wake_local(waker.task); }
  void release(const WakerModel& waker) { waker.remote ? drop_remote(waker.task) : drop_local(waker.task); }

  void spawn() {
    if (!alive || tasks.size() == max_tasks) return;
    const std::size_t task = tasks.size();
    tasks.emplace_back().slot = take_slot();
    ++stats.spawned;
    wake(task);
    if (closing) cancel(task);
    at(task).handle = true;
    handles.at(task) = true;
  }

  // The end of the executor takes tasks by the place of their slots. Which slot is taken next depends on the level.
  std::size_t take_slot() {
    if (free_slots.empty()) {
      for (std::size_t i = 0; i < chunk_slots; ++i) make_free(slots++);
    }
    return free_slots.pop_front();
  }
  void make_free(std::size_t slot) { oldest_first ? free_slots.push_back(slot) : free_slots.push_front(slot); }

  void enqueue(std::size_t task) {
    at(task).queued = true;
    queue.push_back(task);
    ++stats.enqueued;
  }
  void wake(std::size_t task) {
    if (at(task).done) return;
    at(task).woken = true;
    if (!at(task).queued && !at(task).running) enqueue(task);
  }
  void wake_local(std::size_t task) {
    ++stats.local_wakes;
    wake(task);
  }
  void drop_local(std::size_t task) {
    if (--at(task).local == 0) release_local(task);
  }
  void wake_remote(std::size_t task) {
    if (!alive) return;
    at(task).notified = true;
    send(task);
  }
  void drop_remote(std::size_t task) {
    if (--at(task).remote != 0) return;
    if (alive) {
      send(task);
    } else {
      at(task).freed = true;
    }
  }
  void send(std::size_t task) {
    if (!std::exchange(at(task).in_inbox, true)) inbox.push_back(task);
  }

  void release_local(std::size_t task) {
    if (at(task).orphan) {
      if (!at(task).handle && at(task).local == 0) drop_remote(task);
      return;
    }
    look_again(task);
    free_if_unused(task);
  }
  void look_again(std::size_t task) {
    if (!closing && at(task).is_stranded()) enqueue(task);
  }
  void free_if_unused(std::size_t task) {
    if (!at(task).done || at(task).is_held()) return;
    at(task).freed = true;
    ++stats.freed;
    make_free(at(task).slot);
  }

  void visit() {
    since_visit = 0;
    drain();
  }
  void drain() {
    for (const std::size_t task : std::exchange(inbox, {})) {
      at(task).in_inbox = false;
      if (std::exchange(at(task).notified, false)) {
        ++stats.remote_wakes;
        wake(task);
      }
      if (at(task).remote != 0) continue;
      at(task).group = false;
      look_again(task);
      free_if_unused(task);
    }
  }

  bool run_one() {
    if (queue.empty()) return false;
    const std::size_t task = queue.pop_front();
    at(task).queued = false;
    if (at(task).done) {
      free_if_unused(task);
    } else if (at(task).woken) {
      poll(task);
    } else if (at(task).is_stranded()) {
      report_stranded(task);
    }
    return true;
  }
  void report_stranded(std::size_t task) {
    at(task).reported = true;
    ++stats.stranded;
  }

  void poll(std::size_t task) {
    at(task).woken = false;
    at(task).running = true;
    ++stats.polls;
    log.emplace_back('p', task);
    TaskOutcome result = TaskOutcome::none;
    for (const PlannedAction& todo : std::exchange(poll_plans.at(task), TaskPlan{})) {
      if (todo.what == TaskAction::ready) result = TaskOutcome::value;
      if (todo.what == TaskAction::fail) result = TaskOutcome::error;
      if (result != TaskOutcome::none) break;
      act(todo, task);
    }
    if (result != TaskOutcome::none) {
      drop_future(task);
      at(task).outcome = result;
    }
    adopt_group(task);
    if (result != TaskOutcome::none) {
      ++(result == TaskOutcome::error ? stats.threw : stats.completed);
      if (at(task).cancel_asked) at(task).cancelled = true;
      finish(task);
    } else if (at(task).cancel_asked) {
      end_future(task);
    } else {
      at(task).running = false;
      if (at(task).woken) {
        enqueue(task);
      } else if (at(task).is_stranded()) {
        report_stranded(task);
      }
    }
  }
  void adopt_group(std::size_t task) {
    if (at(task).remote > 0 || at(task).in_inbox) at(task).group = true;
  }

  void cancel(std::size_t task) {
    if (at(task).running) {
      at(task).cancel_asked = true;
    } else if (!at(task).done) {
      end_future(task);
    }
  }
  void end_future(std::size_t task) {
    at(task).running = true;
    at(task).cancelled = true;
    ++stats.cancelled;
    drop_future(task);
    finish(task);
  }
  void drop_future(std::size_t task) {
    at(task).done = true;
    log.emplace_back('d', task);
    for (const PlannedAction& todo : std::exchange(drop_plans.at(task), TaskPlan{})) act(todo, std::nullopt);
  }
  void finish(std::size_t task) {
    if (!at(task).handle || at(task).cancelled) {
      if (at(task).outcome == TaskOutcome::error && !at(task).cancelled) log.emplace_back('u', task);
      at(task).outcome = TaskOutcome::none;
    }
    const auto joiner = std::exchange(at(task).joiner, std::nullopt);
    at(task).running = at(task).cancel_asked = at(task).woken = false;
    free_if_unused(task);
    if (!joiner) return;
    wake_local(*joiner);
    drop_local(*joiner);
  }

  // The handle's slot is empty already.
  void drop_handle(std::size_t task) {
    const auto joiner = std::exchange(at(task).joiner, std::nullopt);  // not woken
    cancel(task);
    release_handle(task);
    if (joiner) drop_local(*joiner);
  }
  void detach(std::size_t task) {
    if (at(task).outcome == TaskOutcome::error && !closing) log.emplace_back('u', task);
    release_handle(task);
  }
  void release_handle(std::size_t task) {
    const auto joiner = std::exchange(at(task).joiner, std::nullopt);
    if (at(task).done && !at(task).running) at(task).outcome = TaskOutcome::none;
    at(task).handle = false;
    release_local(task);
    if (joiner) drop_local(*joiner);
  }
  void take(std::size_t task) {
    handles.at(task) = false;
    log.emplace_back(at(task).cancelled ? 'c' : at(task).outcome == TaskOutcome::error ? 'e' : 'v', task);
    release_handle(task);
  }

  template <class Visit>
  void for_each_in_memory(Visit&& visit_task) {
    for (std::size_t slot = 0; slot < slots; ++slot) {
      for (std::size_t task = 0; task < tasks.size(); ++task) {
        if (at(task).slot == slot && !at(task).freed) {
          visit_task(task);
          break;
        }
      }
    }
  }
  void close() {
    closing = true;
    for (bool found = true; found;) {
      found = false;
      for_each_in_memory([&](std::size_t task) {
        if (at(task).done) return;
        found = true;
        cancel(task);
      });
    }
    while (run_one()) {
    }
    for_each_in_memory([&](std::size_t task) {
      if (!at(task).handle && at(task).local == 0) return;
      at(task).orphan = true;
      ++at(task).remote;
      at(task).group = true;
    });
    drain();
    alive = false;
  }
};

class TaskSystem {
 public:
  TaskSystem(Ledger& ledger, const TaskModel& model) : ledger_(ledger) {
    ExecutorOptions options;
    options.polls_per_visit = model.polls_per_visit;
    options.on_stranded = OnStranded::ignore;
    options.on_unhandled = [this](const TaskInfo& info, const std::exception_ptr&) {
      log_.emplace_back('u', static_cast<std::size_t>(info.id) - 1);
    };
    owner_ = std::make_unique<Executor>(std::move(options));
    executor_ = owner_.get();
  }
  ~TaskSystem() {
    drop_plans_.fill(TaskPlan{});  // nothing of this object is used while its members go
  }
  TaskSystem(const TaskSystem&) = delete;
  TaskSystem& operator=(const TaskSystem&) = delete;

  void run(const Step& step, const TaskModel& model) {
    log_.clear();
    ended_ = TaskModel::op_of(step) == TaskModel::end_executor;
    switch (TaskModel::op_of(step)) {
      case TaskModel::action: act(TaskModel::action_of(step), nullptr); break;
      case TaskModel::poll_once: {
        const std::uint64_t before = executor_->stats().polls;
        const bool polled = executor_->poll_once();
        expect(polled == (model.stats.polls != before), "what poll_once() says");
        break;
      }
      case TaskModel::run_until_stalled: {
        const std::uint64_t before = executor_->stats().polls;
        const std::size_t polls = executor_->run_until_stalled();
        expect(polls == model.stats.polls - before, "what run_until_stalled() says");
        break;
      }
      case TaskModel::plan_poll: poll_plans_.at(TaskModel::task_of(step)).add(TaskModel::action_of(step)); break;
      case TaskModel::plan_drop: drop_plans_.at(TaskModel::task_of(step)).add(TaskModel::action_of(step)); break;
      case TaskModel::end_executor: end_executor(); break;
    }
  }

  void compare(const TaskModel& model) {
    if (ended_) {  // the order in which an executor's end destroys its tasks is that of their slots: nobody's to rely on
      TaskLog expected_log = model.log;
      std::sort(log_.begin(), log_.end());
      std::sort(expected_log.begin(), expected_log.end());
      expect(log_ == expected_log, "what happened");
    } else {
      expect(log_ == model.log, "what happened, and in which order");
    }
    expect(ledger_.futures_alive() == model.futures_alive(), "the number of futures alive");
    expect(ledger_.values_alive() == model.outputs_alive(), "the number of outputs alive");
    for (std::size_t task = 0; task < TaskModel::max_tasks; ++task) {
      expect(model.handles.at(task) == !handles_.at(task).is_empty(), "which handles are held");
      if (!model.handles.at(task)) continue;
      const TaskState& expected = model.tasks.at(task);
      expect(handles_.at(task).is_finished() == expected.done, "is_finished()");
      expect(handles_.at(task).is_cancelled() == expected.cancelled, "is_cancelled()");
    }
    if (executor_ == nullptr) return;
    executor_->check_deep();
    expect(executor_->live_tasks() == model.live(), "the number of tasks in memory");
    const ExecutorStats& mine = executor_->stats();
    const ExecutorStats& expected = model.stats;
    expect(mine.spawned == expected.spawned && mine.polls == expected.polls, "stats: spawned, polls");
    expect(mine.completed == expected.completed && mine.threw == expected.threw && mine.cancelled == expected.cancelled,
           "stats: completed, threw, cancelled");
    expect(mine.freed == expected.freed, "stats: freed");
    expect(mine.local_wakes == expected.local_wakes && mine.remote_wakes == expected.remote_wakes, "stats: wakes");
    expect(mine.enqueued == expected.enqueued, "stats: enqueued");
    expect(mine.stranded == expected.stranded, "stats: stranded");
  }

 private:
  struct Failure {
    std::size_t task;
  };

  class Planned {
   public:
    using Output = Counted;
    Planned(TaskSystem& system, std::size_t task) : system_(&system), task_(task) { ++system_->ledger_.futures_made; }
    Planned(Planned&& other) noexcept : system_(std::exchange(other.system_, nullptr)), task_(other.task_) {}
    Planned& operator=(Planned&&) = delete;
    ~Planned() {
      if (system_ != nullptr) system_->dropped(task_);
    }
    Poll<Counted> poll(Context& context) { return system_->polled(task_, context); }

   private:
    TaskSystem* system_;
    std::size_t task_;
    // Few slots make a chunk of the slab, of which check_deep() looks at each. Never read.
    [[maybe_unused]] std::array<std::byte, 3500> bulk_;
  };

  Poll<Counted> polled(std::size_t task, Context& context) {
    log_.emplace_back('p', task);
    for (const PlannedAction& todo : std::exchange(poll_plans_.at(task), TaskPlan{})) {
      if (todo.what == TaskAction::ready) return Ready(Counted(ledger_, static_cast<int>(task)));
      if (todo.what == TaskAction::fail) throw Failure{task};
      act(todo, &context);
    }
    return Pending;
  }
  void dropped(std::size_t task) {
    ++ledger_.futures_destroyed;
    log_.emplace_back('d', task);
    for (const PlannedAction& todo : std::exchange(drop_plans_.at(task), TaskPlan{})) act(todo, nullptr);
  }

  void act(const PlannedAction& todo, Context* context) {
    AnyWaker& waker = wakers_.at(todo.x % TaskModel::waker_count);
    AnyWaker& target = wakers_.at(todo.y % TaskModel::waker_count);
    JoinHandle<Counted>& handle = handles_.at(todo.x % TaskModel::max_tasks);
    switch (todo.what) {
      case TaskAction::spawn: spawn(); break;
      case TaskAction::wake_by_ref: waker.wake_by_ref(); break;
      case TaskAction::wake: std::exchange(waker, AnyWaker()).wake(); break;
      case TaskAction::drop_waker: static_cast<void>(std::exchange(waker, AnyWaker())); break;
      case TaskAction::clone_waker:
        if (waker.local || waker.remote) put(target, AnyWaker(waker));
        break;
      case TaskAction::clone_as_local:
        if (waker.remote) put(target, AnyWaker{LocalWaker(*waker.remote), {}});
        break;
      case TaskAction::cancel:
        if (!handle.is_empty()) handle.cancel();
        break;
      case TaskAction::detach:
        if (!handle.is_empty()) {
          JoinHandle<Counted> mine = std::move(handle);
          mine.detach();
        }
        break;
      case TaskAction::drop_handle: static_cast<void>(std::exchange(handle, JoinHandle<Counted>())); break;
      case TaskAction::try_join:
        if (!handle.is_empty()) {
          join([&] { return handle.try_join(); }, todo.x % TaskModel::max_tasks);
        }
        break;
      default:
        if (context != nullptr) act_in_poll(todo, *context);
        break;
    }
  }

  void act_in_poll(const PlannedAction& todo, Context& context) {
    AnyWaker& waker = wakers_.at(todo.x % TaskModel::waker_count);
    JoinHandle<Counted>& handle = handles_.at(todo.x % TaskModel::max_tasks);
    switch (todo.what) {
      case TaskAction::keep_local: put(waker, AnyWaker{context.local_waker(), {}}); break;
      case TaskAction::keep_remote: put(waker, AnyWaker{{}, context.waker()}); break;
      case TaskAction::wake_self: context.local_waker().wake_by_ref(); break;
      case TaskAction::wake_self_remotely: context.waker().wake_by_ref(); break;
      case TaskAction::await:
        if (handle.is_empty() || handle.is_running()) break;
        join(
            [&]() -> std::optional<Counted> {
              Poll<Counted> result = handle.poll(context);
              if (result.is_pending()) return std::nullopt;
              return std::move(result).take();
            },
            todo.x % TaskModel::max_tasks);
        break;
      default: break;
    }
  }

  template <class Take>
  void join(Take&& take, std::size_t task) {
    try {
      const std::optional<Counted> value = take();
      if (value) log_.emplace_back(value->value() == static_cast<int>(task) ? 'v' : '?', task);
    } catch (const Failure& failure) {
      log_.emplace_back(failure.task == task ? 'e' : '?', task);
    } catch (const TaskCancelled&) {
      log_.emplace_back('c', task);
    }
  }

  // Destructors of futures spawn meanwhile.
  void end_executor() {
    delete owner_.release();
    executor_ = nullptr;
  }

  void spawn() {
    if (executor_ == nullptr || spawned_ == TaskModel::max_tasks) return;
    const std::size_t task = spawned_++;
    handles_.at(task) = executor_->spawn(Planned(*this, task));
  }

  // What was there is dropped when the new one is in its place.
  static void put(AnyWaker& place, AnyWaker waker) { std::swap(place, waker); }

  Ledger& ledger_;
  TaskLog log_;
  bool ended_ = false;  // by the last step
  std::array<TaskPlan, TaskModel::max_tasks> poll_plans_{};
  std::array<TaskPlan, TaskModel::max_tasks> drop_plans_{};
  std::size_t spawned_ = 0;
  std::unique_ptr<Executor> owner_;
  Executor* executor_ = nullptr;
  std::array<JoinHandle<Counted>, TaskModel::max_tasks> handles_{};
  std::array<AnyWaker, TaskModel::waker_count> wakers_{};
};

}  // namespace assay::testkit
