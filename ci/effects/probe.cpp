// Makes every template of the same-thread hot path, so that clang checks the promises in them, and calls all of it from functions
// that promise the same: wake, poll, spawn into a warm slab, timer arm and cancel, fd wait, channel. See ci/checks/effects.
#include <optional>
#include <utility>

#include "assay/assay.hpp"

namespace {

using namespace assay;

struct Nothing {
  using Output = int;
  ASSAY_RUNS_OTHERS Poll<int> poll(Context& context) ASSAY_NONBLOCKING {
    context.wake_again();
    return Ready(1);
  }
};

Async<int> child() { co_return 1; }
Async<int> parent() { co_return co_await child(); }

}  // namespace

void wake(const LocalWaker& local, const Waker& any) noexcept ASSAY_NONBLOCKING {
  local.wake_by_ref();
  any.wake_by_ref();
  LocalWaker copy = local;
  std::move(copy).wake();
  Waker other = any;
  const LocalWaker narrowed = other;
  std::move(other).wake();
}

bool poll(detail::Scheduler& scheduler, Executor& executor) noexcept ASSAY_NONBLOCKING {
  return scheduler.run(&executor, 61) != 0;
}

bool poll(Async<int>& future, Context& context) ASSAY_NONBLOCKING { return ASSAY_UNCHECKED(future.poll(context)).is_ready(); }

// What a coroutine's end and its memory cost.
void frame() ASSAY_NONBLOCKING { audited::free_frame(audited::take_frame(100), 100); }

void spawn(detail::Scheduler& scheduler, const LocalWaker& waker, TimerQueue& timers) ASSAY_NONBLOCKING {
  auto* const task = scheduler.spawn<Nothing>("task");
  if (task == nullptr) return;
  detail::TaskHandle<int> handle(scheduler, *task);
  static_cast<void>(handle.is_done_or_wakes(waker));
  timers.fire(Instant::min());
}

bool timers(TimeEvent& event, Sleep& sleep, Interval::Tick& tick, Context& context) ASSAY_NONBLOCKING {
  return event.poll(context).is_ready() || sleep.poll(context).is_ready() || tick.poll(context).is_ready();
}
void arm_and_cancel(TimerQueue& timers, const LocalWaker& waker) ASSAY_NONBLOCKING {
  Timer timer;
  timers.arm(timer, Instant::max(), waker);
  timer.disarm();
}

bool wait_for_fd(FdEvent& event, Context& context) ASSAY_NONBLOCKING { return event.poll(context).is_ready(); }
void watch_and_stop(Reactor& reactor, const LocalWaker& waker) ASSAY_NONBLOCKING {
  FdWait wait(0, Interest::read);
  reactor.watch(wait, waker);
}

void through_a_channel(Sender<int>& sender, Receiver<int>& receiver, Context& context) ASSAY_NONBLOCKING {
  auto send = sender.send(1);
  auto receive = receiver.recv();
  static_cast<void>(send.poll(context));
  static_cast<void>(receive.poll(context));
  static_cast<void>(sender.try_send(2));
  static_cast<void>(receiver.try_recv());
}

void notify(Notify& notify, Context& context) ASSAY_NONBLOCKING {
  auto notified = notify.notified();
  static_cast<void>(notified.poll(context));
  notify.notify_one();
  notify.notify_all();
}

bool join(JoinHandle<int>& handle, Context& context) ASSAY_NONBLOCKING { return handle.poll(context).is_ready(); }

void yield(YieldNow& yield, Context& context) ASSAY_NONBLOCKING { static_cast<void>(yield.poll(context)); }

// Its coroutines make the awaiters.
int awaiters(Executor& executor) { return executor.block_on(parent()); }
