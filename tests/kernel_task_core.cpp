// Shows what is under the scheduler and under Async by itself: tasks in slots, the ready queue, the end of tasks and of the core,
// a coroutine's frame. Mostly their aborts: above them, nothing can break these rules.
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "assay/audited/coroutine.hpp"
#include "assay/audited/task_core.hpp"
#include "assay/poll.hpp"
#include "assay/slab.hpp"
#include "assay_testkit/counting_waker.hpp"
#include "support/dies.hpp"

using namespace assay;
using namespace assay::test;
using audited::Inbox;
using audited::SlabChunk;
using audited::SlabSlot;
using audited::TaskFlags;
using audited::TaskHeader;

namespace {

class Core final : public audited::TaskCore {
 public:
  explicit Core(int& ended) : ended_(ended) {}
  ~Core() override { ++ended_; }
  using TaskCore::dequeue;
  using TaskCore::end_task;
  using TaskCore::enqueue;
  using TaskCore::make_task;
  using TaskCore::poll_task;

 private:
  void raise() noexcept ASSAY_NONBLOCKING override {}
  ASSAY_RUNS_OTHERS void local_wakers_gone(TaskHeader&) noexcept ASSAY_NONBLOCKING override {}
  int& ended_;
};

struct Seven {
  using Output = int;
  Poll<int> poll(Context&) { return Ready(7); }
};
using Task = audited::Task<Seven>;

// A core, which its last reference ends, and a chunk of slots.
struct Scene {
  int ended = 0;
  Core& core = *std::make_unique<Core>(ended).release();
  detail::SlabClass size_class{};
  std::unique_ptr<SlabChunk> chunk = SlabChunk::make(sizeof(Task), 8, size_class);

  SlabSlot& slot(std::size_t index) { return chunk->slots()[index]; }
  Task& task(std::size_t index = 0) {
    slot(index).take();
    return core.make_task<Seven>(slot(index));
  }
};

auto with_scene(void (*use)(Scene&)) {
  return [use] {
    Scene scene;
    use(scene);
  };
}

// A coroutine whose frame the test moves by hand.
struct Promise;
struct Owner {
  using promise_type = Promise;
  explicit Owner(audited::Frame& made) : frame(&made) {}
  audited::Frame& finished_frame() const { return *frame; }
  audited::Frame* frame;
};
using ByHand = audited::FrameOwner<Promise, Owner>;
struct Promise : audited::Frame {
  using Frame::destroy;
  using Frame::mark_finished;
  ByHand get_return_object() { return ByHand(*this); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  std::suspend_always final_suspend() noexcept {
    mark_finished();
    return {};
  }
  void return_void() noexcept {}
  void unhandled_exception() noexcept {}
};

ByHand two_steps(int& steps) {
  ++steps;
  co_await std::suspend_always();
  ++steps;
}

ByHand ends_itself(Promise*& self) {
  self->destroy();
  co_return;
}

ByHand resumes_itself(Promise*& self) {
  self->resume();
  co_return;
}

}  // namespace

TEST_CASE("task core: a task is made in a slot, polled, ended, and the core goes with its last reference", "[kernel][task]") {
  Scene scene;
  Task& task = scene.task();
  CHECK(scene.slot(0).is_occupied());
  CHECK(&Core::of(task) == &scene.core);
  scene.core.enqueue(task);
  CHECK(scene.core.dequeue() == &task);
  CHECK(scene.core.dequeue() == nullptr);
  task.flags |= TaskFlags::running;
  CHECK(scene.core.poll_task(task, nullptr));
  CHECK(task.has(TaskFlags::has_output));
  task.vtable->drop_outcome(task);
  task.flags &= ~TaskFlags::running;
  CHECK(&Core::end_task(task) == &scene.slot(0));
  CHECK_FALSE(scene.slot(0).is_occupied());
  scene.slot(0).release(2);
  CHECK(scene.ended == 0);
  scene.core.release_inbox();
  CHECK(scene.ended == 1);
}

TEST_CASE("abort: a task made where none may be", "[kernel][task][abort]") {
  const char* const words = "internal: a task was to be made in a slot that is free, occupied or too small";
  check_dies(words, with_scene([](Scene& scene) { scene.core.make_task<Seven>(scene.slot(0)); }));
  check_dies(words, with_scene([](Scene& scene) {
               scene.slot(0).take();
               scene.slot(0).occupy();
               scene.core.make_task<Seven>(scene.slot(0));
             }));
  static_assert(sizeof(Task) > SlabSlot::alignment);
  check_dies(words, with_scene([](Scene& scene) {
               const std::unique_ptr<SlabChunk> small = SlabChunk::make(1, 1, scene.size_class);
               small->slots().front().take();
               scene.core.make_task<Seven>(small->slots().front());
             }));
}

TEST_CASE("abort: a task ended that may not be", "[kernel][task][abort]") {
  const char* const held = "internal: a task was freed that something holds";
  check_dies(held, with_scene([](Scene& scene) { Core::end_task(scene.task()); }));  // not done
  check_dies(held, with_scene([](Scene& scene) {
               Task& task = scene.task();
               task.flags = TaskFlags::done | TaskFlags::handle;
               Core::end_task(task);
             }));
  check_dies_from_level<2>("internal: a task was freed by an executor that is gone", with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             task.flags = TaskFlags::done | TaskFlags::orphan;
                             Core::end_task(task);
                           }));
  check_dies("internal: a task lies in another slot than it was made in", with_scene([](Scene& scene) {
               Task& task = scene.task(0);
               scene.task(1);
               task.flags = TaskFlags::done;
               task.slot = &scene.slot(1);
               Core::end_task(task);
             }));
  check_dies("internal: a task was looked for in an empty slot", with_scene([](Scene& scene) {
               Task& task = scene.task(0);
               task.flags = TaskFlags::done;
               task.slot = &scene.slot(1);
               Core::end_task(task);
             }));
}

TEST_CASE("abort: the ready queue, broken", "[kernel][task][abort]") {
  check_dies_from_level<2>("internal: a task was queued twice", with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             scene.core.enqueue(task);
                             scene.core.enqueue(task);
                           }));
  check_dies_from_level<2>("internal: a task was queued twice", with_scene([](Scene& scene) {
                             Task& first = scene.task(0);
                             scene.core.enqueue(first);
                             scene.core.enqueue(scene.task(1));
                             first.flags &= ~TaskFlags::queued;  // though it is linked
                             scene.core.enqueue(first);
                           }));
  check_dies_from_level<2>("internal: a task in the ready queue is not marked queued", with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             scene.core.enqueue(task);
                             task.flags &= ~TaskFlags::queued;
                             scene.core.dequeue();
                           }));
  check_dies_from_level<2>("internal: a task was polled outside its turn",
                           with_scene([](Scene& scene) { scene.core.poll_task(scene.task(), nullptr); }));
  check_dies_from_level<2>("internal: an executor's core went while tasks were ready", with_scene([](Scene& scene) {
                             scene.core.enqueue(scene.task());
                             scene.core.release_inbox();
                           }));
}

TEST_CASE("abort: an orphan freed too early", "[kernel][task][abort]") {
  // After the executor, its last Waker frees a task; what is still alive in it, or refers to it, would be lost.
  const char* const words = "internal: an orphaned task was freed too early";
  check_dies_from_level<2>(words, with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             Inbox::clone(task);
                             scene.core.close([](audited::RemoteNode&, std::uint64_t) {});
                             Inbox::drop(task);
                           }));
  check_dies_from_level<2>(words, with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             Inbox::clone(task);
                             scene.core.close([](audited::RemoteNode&, std::uint64_t) {});
                             task.flags = TaskFlags::done;
                             task.local_wakers = 1;
                             Inbox::drop(task);
                           }));
}

TEST_CASE("coroutine frame: fresh, suspended, finished, destroyed", "[kernel][coroutine]") {
  int steps = 0;
  const ByHand owner = two_steps(steps);
  CHECK(owner.frame->is_fresh());
  CHECK(steps == 0);
  owner.frame->resume();
  CHECK_FALSE(owner.frame->is_fresh());
  CHECK_FALSE(owner.frame->is_finished());
  CHECK(steps == 1);
  owner.frame->resume();
  CHECK(owner.frame->is_finished());
  CHECK(steps == 2);
  owner.finished_promise().destroy();
}

TEST_CASE("abort: a coroutine frame out of turn", "[kernel][coroutine][abort]") {
  check_dies("internal: a coroutine was resumed that runs or has finished", [] {
    int steps = 0;
    const ByHand owner = two_steps(steps);
    for (int i = 0; i < 3; ++i) owner.frame->resume();
  });
  check_dies("internal: a coroutine was resumed that runs or has finished", [] {
    Promise* self = nullptr;
    const ByHand owner = resumes_itself(self);
    self = &owner.finished_promise();
    self->resume();
  });
  check_dies("an Async was destroyed from inside its own poll", [] {
    Promise* self = nullptr;
    const ByHand owner = ends_itself(self);
    self = &owner.finished_promise();
    self->resume();
  });
  check_dies_from_level<2>("internal: a coroutine has no handle", [] { Promise().destroy(); });
  check_dies("internal: a coroutine finished that did not run", [] { Promise().mark_finished(); });
}

TEST_CASE("abort: a thread that is given a second id", "[kernel][abort]") {
  check_dies_from_level<2>("internal: a thread was given two ids", [] {
    static_cast<void>(audited::current_thread_id());
    static_cast<void>(audited::assign_thread_id());
  });
}

TEST_CASE("abort: a task is ended with its output in it", "[kernel][task][abort]") {
  const char* const words = "internal: a task was freed with something alive in it";
  check_dies_from_level<2>(words, with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             task.flags = TaskFlags::done | TaskFlags::has_output;
                             Core::end_task(task);
                             std::_Exit(0);
                           }));
  check_dies_from_level<2>(words, with_scene([](Scene& scene) {
                             Task& task = scene.task();
                             Inbox::clone(task);
                             scene.core.close([](audited::RemoteNode&, std::uint64_t) {});
                             task.flags = TaskFlags::done | TaskFlags::has_output;
                             Inbox::drop(task);
                             std::_Exit(0);
                           }));
}

TEST_CASE("task core: what a task's header holds ends with it, once, in an executor's life and after it", "[kernel][task]") {
  testkit::CountingWaker joiner;
  Scene scene;
  const auto finish = [](Task& task) {
    task.flags |= TaskFlags::running;
    task.vtable->drop_future(task);
    task.flags = TaskFlags::done;
  };
  Task& task = scene.task(0);
  task.joiner = joiner.waker();
  finish(task);
  const std::uint64_t before = joiner.drops();
  Core::end_task(task);
  CHECK(joiner.drops() - before == 1);

  Task& orphan = scene.task(1);
  orphan.joiner = joiner.waker();
  finish(orphan);
  const std::uint64_t then = joiner.drops();
  Inbox::clone(orphan);
  scene.core.retain_inbox();  // for its Wakers
  scene.core.close([](audited::RemoteNode&, std::uint64_t) {});
  Inbox::drop(orphan);
  CHECK(joiner.drops() - then == 1);
  CHECK(scene.ended == 0);
  scene.core.release_inbox();
  CHECK(scene.ended == 1);
}
