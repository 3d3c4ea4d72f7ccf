// assay: a small async runtime. Everything a program needs; read the headers in this order.
#pragma once

#include "assay/poll.hpp"         // Poll<T>: Ready or Pending
#include "assay/future.hpp"       // the Future concept
#include "assay/waker.hpp"        // Waker, LocalWaker, function_waker
#include "assay/async.hpp"        // Async<T>: the coroutine
#include "assay/run.hpp"          // run(future)
#include "assay/executor.hpp"     // Executor
#include "assay/join_handle.hpp"  // JoinHandle<T>
#include "assay/task_group.hpp"   // TaskGroup
#include "assay/yield.hpp"        // yield_now, forever, current_executor
#include "assay/clock.hpp"        // Instant, Duration, VirtualClock
#include "assay/time.hpp"         // sleep, sleep_until, interval, timeout
#include "assay/events.hpp"       // FdEvent, TimeEvent
#include "assay/fd_source.hpp"    // FdSource
#include "assay/join.hpp"         // join
#include "assay/select.hpp"       // select, select_biased
#include "assay/notify.hpp"       // Notify
#include "assay/semaphore.hpp"    // Semaphore
#include "assay/mutex.hpp"        // Mutex<T>
#include "assay/oneshot.hpp"      // oneshot<T>
#include "assay/channel.hpp"      // channel<T>
#include "assay/threads/oneshot.hpp"        // between threads: threads::oneshot<T>
#include "assay/threads/channel.hpp"        // threads::channel<T>, threads::unbounded_channel<T>
#include "assay/threads/remote.hpp"         // threads::Remote: spawns in another thread's Executor
#include "assay/threads/blocking_pool.hpp"  // threads::BlockingPool: for calls that block
#include "assay/threads/waker_slot.hpp"     // threads::WakerSlot
#include "assay/pin.hpp"          // Pinned, PinCell, PinRc, PinWeak
