// Shows the internal assertions of the kernel that a test can reach by breaking a promise on purpose: a reference given
// up twice, a structure overwritten. They are what stands between a bug of ours and silent damage.
#include <limits>
#include <string>

#include "assay/executor.hpp"
#include "assay/run.hpp"
#include "assay/waker.hpp"
#include "assay/yield.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using audited::TaskFlags;
using audited::TaskHeader;

namespace {

// An executor with one waiting task, whose header is taken from its waker.
struct Scene {
  Executor executor{};
  Ledger ledger{};
  LocalWaker local{};
  Waker any{};
  JoinHandle<int> handle = executor.spawn(ScriptedFuture<int>(ledger, [this](Context& context) -> Poll<int> {
    local = context.local_waker();
    any = context.waker();
    return Pending;
  }));
  Scene() { executor.run_until_stalled(); }
  TaskHeader& task() { return static_cast<TaskHeader&>(*static_cast<audited::RemoteNode*>(local.as_raw().data)); }
};

auto with_scene(void (*use)(Scene&)) {
  return [use] {
    Scene scene;
    use(scene);
  };
}

}  // namespace

TEST_CASE("abort: references given up twice", "[kernel][abort]") {
  check_dies("internal: a LocalWaker was dropped twice", with_scene([](Scene& scene) {
               const RawWaker raw = scene.local.as_raw();
               LocalWaker::from_raw(raw);
               LocalWaker::from_raw(raw);
             }));
  check_dies("internal: a task's Waker was dropped twice", with_scene([](Scene& scene) {
               const RawWaker raw = scene.any.as_raw();
               Waker::from_raw(raw);
               Waker::from_raw(raw);
             }));
  check_dies("too many LocalWakers of one task are alive", with_scene([](Scene& scene) {
               scene.task().local_wakers = std::numeric_limits<std::uint32_t>::max();
               const LocalWaker copy = scene.local;
             }));
}

TEST_CASE("abort: check_deep finds a task whose state is wrong", "[kernel][abort]") {
  check_dies("internal: the ready queue and the tasks marked queued differ", with_scene([](Scene& scene) {
               scene.task().flags |= TaskFlags::queued;
               scene.executor.check_deep();
             }));
  check_dies("internal: the ready queue is broken", with_scene([](Scene& scene) {
               scene.local.wake_by_ref();
               scene.task().flags &= ~TaskFlags::queued;
               scene.executor.check_deep();
             }));
  check_dies("internal: a task has an outcome before it is done", with_scene([](Scene& scene) {
               scene.task().flags |= TaskFlags::has_output;
               scene.executor.check_deep();
             }));
  check_dies("internal: a task that nothing holds was not freed", with_scene([](Scene& scene) {
               scene.task().flags = TaskFlags::done;
               scene.task().local_wakers = 0;
               scene.executor.check_deep();
             }));
  check_dies("internal: Wakers exist that hold no reference", with_scene([](Scene& scene) {
               scene.task().flags &= ~TaskFlags::group;
               scene.executor.check_deep();
             }));
  check_survives(with_scene([](Scene& scene) { scene.executor.check_deep(); }));
}

TEST_CASE("abort: a task whose life is cut short or drawn out", "[kernel][abort]") {
  const char* const not_its_turn = "internal: a task was polled after it was done, or outside its turn";
  check_dies(not_its_turn, with_scene([](Scene& scene) {
               const Waker waker;
               Context context(waker);
               scene.task().flags |= TaskFlags::done;
               scene.task().vtable->poll(scene.task(), context);
             }));
  check_dies(not_its_turn, with_scene([](Scene& scene) {
               const Waker waker;
               Context context(waker);
               scene.task().vtable->poll(scene.task(), context);
             }));
  check_dies("internal: a task's future was destroyed twice", with_scene([](Scene& scene) {
               scene.handle.cancel();
               scene.task().vtable->drop_future(scene.task());
             }));
  check_dies_from_level<2>("internal: a task's future was destroyed without holding the task",
                           with_scene([](Scene& scene) { scene.task().vtable->drop_future(scene.task()); }));
  check_dies_from_level<2>("internal: an outcome was dropped before its task was done",
                           with_scene([](Scene& scene) { scene.task().vtable->drop_outcome(scene.task()); }));
  check_dies("internal: an exception was taken that is not there",
             with_scene([](Scene& scene) { static_cast<void>(scene.task().vtable->take_exception(scene.task())); }));
  check_dies("a task's outcome was asked for before it was there, or a second time", with_scene([](Scene& scene) {
               scene.task().flags |= TaskFlags::done;  // done, without an outcome
               static_cast<void>(scene.handle.try_join());
             }));
  check_dies_from_level<2>("internal: a task was freed with something alive in it",
                           with_scene([](Scene& scene) { scene.task().vtable->destroy_header(scene.task()); }));
  check_dies_from_level<2>("internal: a task was freed with something alive in it", with_scene([](Scene& scene) {
                             scene.task().flags = TaskFlags::done | TaskFlags::has_output;
                             scene.task().vtable->destroy_header(scene.task());
                           }));
  check_dies("internal: a task's handle was dropped twice", with_scene([](Scene& scene) {
               scene.task().flags &= ~TaskFlags::handle;
               scene.handle.detach();
             }));
  check_dies_from_level<2>("internal: a JoinHandle outlived its task", with_scene([](Scene& scene) {
                             static audited::SlabSlot other;  // of another generation
                             scene.task().slot = &other;
                             static_cast<void>(scene.handle.is_finished());
                           }));
}

TEST_CASE("abort: a context that is left more often than entered", "[kernel][abort]") {
  check_dies_from_level<2>("internal: Context::leave without enter", [] {
    const Waker waker;
    Context context(waker);
    context.enter();
    context.leave();
    context.leave();
  });
}

TEST_CASE("abort: the line says what, about whom and where, in one line of at most 512 bytes", "[kernel][abort]") {
  const testkit::Death death =
      testkit::run_in_child([] { audited::fail("somebody did something", "/a/b/assay/file.cpp", 42, "subject"); });
  CHECK(death.aborted);
  CHECK(death.standard_error == "assay: somebody did something: subject (assay/file.cpp:42)\n");
  const std::string long_message(2000, 'x');
  const testkit::Death cut = testkit::run_in_child([&] { audited::fail(long_message.c_str(), "assay/file.cpp", 1); });
  CHECK(cut.aborted);
  CHECK(cut.standard_error.size() <= 512);
  CHECK(cut.standard_error.ends_with("x\n"));
  CHECK(cut.standard_error.starts_with("assay: xxx"));
}
