// assay: a small async runtime. Everything a program of one thread needs; read the headers in this order. Between threads:
// assay/threads.hpp.
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
#include "assay/pin.hpp"          // Pinned, PinCell, PinRc, PinWeak
