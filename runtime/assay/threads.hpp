// assay between threads: all of assay::threads, in reading order.
#pragma once

#include "assay/threads/oneshot.hpp"        // oneshot<T>
#include "assay/threads/channel.hpp"        // channel<T>, unbounded_channel<T>
#include "assay/threads/remote_handle.hpp"  // RemoteHandle<T>
#include "assay/threads/remote.hpp"         // Remote: spawns in another thread's Executor
#include "assay/threads/blocking_pool.hpp"  // BlockingPool: for calls that block
#include "assay/threads/waker_slot.hpp"     // WakerSlot
