// Two tasks, their handles, and three wakers of any kind: the life cycle from spawn to the executor's end and beyond.
//
// A poll of a task and what the task does in it are one operation; so is what a future's destructor will do, once it is
// destroyed. Of empty places for wakers the first is used: which one it is is nothing to a task.
#include "assay_testkit/enumerate.hpp"
#include "assay_testkit/models/task.hpp"

using namespace assay::testkit;

namespace {

constexpr std::uint8_t tasks = 2;
constexpr std::uint8_t wakers = 3;
constexpr std::uint8_t poll_step = 3;  // places in TaskModel::names
constexpr std::uint8_t run_step = 5;
constexpr std::uint8_t plan_poll_step = 6;
constexpr std::uint8_t plan_drop_step = 10;
constexpr std::uint8_t end_step = 11;

void write_plan(std::string& key, const TaskPlan& plan) {
  for (const PlannedAction& todo : plan) {
    key += static_cast<char>('a' + static_cast<int>(todo.what));
    key += static_cast<char>('0' + todo.x);
    key += static_cast<char>('0' + todo.y);
  }
  key += ';';
}

std::string key_of(const TaskModel& model) {
  std::string key;
  const auto number = [&](std::size_t value) { key += static_cast<char>('0' + value); };
  number(model.since_visit);
  number(model.alive ? 1 : 0);
  for (const TaskState& task : model.tasks) {
    for (const bool flag : {task.freed, task.done, task.cancelled, task.running, task.queued, task.woken, task.cancel_asked, task.handle,
                            task.reported, task.orphan, task.group, task.notified, task.in_inbox}) {
      number(flag ? 1 : 0);
    }
    number(task.local);
    number(task.remote);
    number(static_cast<std::size_t>(task.outcome));
    number(task.joiner ? *task.joiner : 9);
    number(task.slot);
  }
  key += 'q';
  for (const std::size_t task : model.queue) number(task);
  key += 'i';
  for (const std::size_t task : model.inbox) number(task);
  key += 'w';
  for (const auto& waker : model.wakers) {
    number(waker ? 1 + waker->task * 4 + (waker->remote ? 2 : 0) + (waker->local_type ? 1 : 0) : 0);
  }
  for (std::size_t task = 0; task < model.tasks.size(); ++task) {
    number(model.handles.at(task) ? 1 : 0);
    write_plan(key, model.poll_plans.at(task));
    write_plan(key, model.drop_plans.at(task));
  }
  return key;
}

bool is_place(const TaskModel& model, std::size_t place) {  // the first empty one
  for (std::size_t before = 0; before < place; ++before) {
    if (!model.wakers.at(before)) return false;
  }
  return !model.wakers.at(place);
}

// Which task poll_once() polls first, if any.
std::size_t next_polled(const TaskModel& model) {
  TaskModel after = model;
  after.apply(Step{poll_step, 0, 0, 0});
  for (const auto& [letter, task] : after.log) {
    if (letter == 'p') return task;
  }
  return TaskModel::max_tasks;
}

class Builder {
 public:
  Scope<TaskModel> scope;

  // The same from outside, in a poll, and in a destructor.
  void everywhere(TaskAction what, const std::string& name, std::uint8_t x, std::uint8_t y, const std::function<bool(const TaskModel&)>& wanted) {
    scope.operations.push_back({name, {Step{0, number(what), both(x, y), 0}}, wanted});
    for (std::uint8_t task = 0; task < tasks; ++task) {
      in_poll({{what, x, y}}, name, task, wanted);
      in_drop({what, x, y}, name, task);
    }
  }
  void in_poll(const std::vector<PlannedAction>& todo, const std::string& name, std::uint8_t task,
               const std::function<bool(const TaskModel&)>& wanted) {
    Operation<TaskModel> operation;
    operation.name = "poll " + std::to_string(task) + " (" + name + ")";
    for (const PlannedAction& each : todo) operation.steps.push_back(Step{plan_poll_step, number(each.what), both(each.x, each.y), task});
    operation.steps.push_back(Step{poll_step, 0, 0, 0});
    operation.is_wanted = [task, wanted](const TaskModel& model) {
      return task < model.tasks.size() && model.alive && (!wanted || wanted(model)) && next_polled(model) == task;
    };
    scope.operations.push_back(std::move(operation));
  }
  // One thing for each destructor.
  void in_drop(const PlannedAction& todo, const std::string& name, std::uint8_t task) {
    scope.operations.push_back({"on drop of " + std::to_string(task) + ": " + name,
                                {Step{plan_drop_step, number(todo.what), both(todo.x, todo.y), task}},
                                [task](const TaskModel& model) {
                                  const TaskPlan& plan = model.drop_plans.at(task);
                                  return task < model.tasks.size() && !model.tasks.at(task).done && plan.begin() == plan.end();
                                }});
  }
  void step(std::uint8_t number, const std::string& name) { scope.operations.push_back({name, {Step{number, 0, 0, 0}}, {}}); }

 private:
  static std::uint8_t number(TaskAction what) { return static_cast<std::uint8_t>(what); }
  static std::uint8_t both(std::uint8_t x, std::uint8_t y) { return static_cast<std::uint8_t>(x + 16 * y); }
};

Scope<TaskModel> scope_of(const std::string& name, unsigned depth, bool prune) {
  Builder builder;
  builder.scope.name = name;
  builder.scope.depth = depth;
  builder.scope.prune = prune;
  builder.scope.key = key_of;
  using enum TaskAction;
  builder.everywhere(spawn, "spawn", 0, 0, [](const TaskModel& model) { return model.alive && model.tasks.size() < tasks; });
  for (std::uint8_t place = 0; place < wakers; ++place) {
    const std::string text = " " + std::to_string(place);
    const auto is_there = [place](const TaskModel& model) { return model.wakers.at(place).has_value(); };
    builder.everywhere(wake_by_ref, "wake by ref" + text, place, 0, is_there);
    builder.everywhere(wake, "wake" + text, place, 0, is_there);
    builder.everywhere(drop_waker, "drop waker" + text, place, 0, is_there);
    for (std::uint8_t other = 0; other < wakers; ++other) {
      const auto can_clone = [place, other](const TaskModel& model) { return model.wakers.at(place) && is_place(model, other); };
      const std::string words = text + " to " + std::to_string(other);
      builder.scope.operations.push_back({"clone" + words, {Step{0, static_cast<std::uint8_t>(clone_waker), static_cast<std::uint8_t>(place + 16 * other), 0}}, can_clone});
      builder.scope.operations.push_back({"clone as local" + words,
                                          {Step{0, static_cast<std::uint8_t>(clone_as_local), static_cast<std::uint8_t>(place + 16 * other), 0}},
                                          [can_clone, place](const TaskModel& model) { return can_clone(model) && !model.wakers.at(place)->local_type; }});
    }
  }
  for (std::uint8_t task = 0; task < tasks; ++task) {
    const std::string text = " " + std::to_string(task);
    const auto has_handle = [task](const TaskModel& model) { return model.handles.at(task); };
    builder.everywhere(cancel, "cancel" + text, task, 0, has_handle);
    builder.everywhere(detach, "detach" + text, task, 0, has_handle);
    builder.everywhere(drop_handle, "drop handle" + text, task, 0, has_handle);
    builder.everywhere(try_join, "join" + text, task, 0,
                       [task](const TaskModel& model) { return model.handles.at(task) && model.tasks.at(task).done; });
    builder.in_poll({{ready, 0, 0}}, "ready", task, {});
    builder.in_poll({{fail, 0, 0}}, "throw", task, {});
    builder.in_poll({{wake_self, 0, 0}}, "wake itself", task, {});
    builder.in_poll({{wake_self_remotely, 0, 0}}, "wake itself as from another thread", task, {});
    builder.in_poll({{wake_self, 0, 0}, {ready, 0, 0}}, "wake itself; ready", task, {});
    builder.in_poll({{wake_self_remotely, 0, 0}, {fail, 0, 0}}, "wake itself as from another thread; throw", task, {});
    builder.in_poll({{cancel, task, 0}, {ready, 0, 0}}, "cancel itself; ready", task, has_handle);
    builder.in_poll({{drop_handle, task, 0}, {fail, 0, 0}}, "drop its handle; throw", task, has_handle);
    const std::uint8_t other = static_cast<std::uint8_t>(1 - task);
    builder.in_poll({{await, other, 0}}, "await " + std::to_string(other), task,
                    [other](const TaskModel& model) { return model.handles.at(other); });
    for (std::uint8_t place = 0; place < wakers; ++place) {
      const auto is_free = [place](const TaskModel& model) { return is_place(model, place); };
      const std::string at = " at " + std::to_string(place);
      builder.in_poll({{keep_local, place, 0}}, "keep a LocalWaker" + at, task, is_free);
      builder.in_poll({{keep_remote, place, 0}}, "keep a Waker" + at, task, is_free);
      builder.in_poll({{keep_remote, place, 0}, {ready, 0, 0}}, "keep a Waker" + at + "; ready", task, is_free);
    }
  }
  builder.step(poll_step, "poll");
  builder.step(run_step, "run until stalled");
  builder.step(end_step, "end of the executor");
  return std::move(builder.scope);
}

}  // namespace

int main(int count, char** words) {
  return scope_main<TaskModel, TaskSystem>(count, words, {scope_of("task", 6, false), scope_of("task, by states", 8, true)});
}
