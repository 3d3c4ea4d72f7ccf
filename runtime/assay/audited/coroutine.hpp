// Purpose: the two operations on a coroutine that C++ cannot check, resume and destroy, behind checks of ours; the memory of
//   frames; and the way from a frame back to its promise. Who awaits whom is the safe layer's (assay/coroutine.hpp).
// Thread rules: one thread at a time.
// Invariants:
//  (1) A frame is fresh, suspended, running or finished. Only resume() makes it running, and it is not when resume() returns.
//  (2) A frame that is running is neither resumed nor destroyed; a finished one is not resumed. Both are checked.
//  (3) handle_ is the handle of the coroutine whose promise this is the base of, from bind() on.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "assay/audited/frame_pool.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

// The base of every promise.
class Frame {
 public:
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  // SAFETY(C1): frames come from the pool; the compiler pairs these two for the same frame.
  ASSAY_RUNS_OTHERS static void* operator new(std::size_t size) ASSAY_NONBLOCKING { return take_frame(size); }
  // SAFETY(C1): the other half of the pair: what operator new above took.
  ASSAY_RUNS_OTHERS static void operator delete(void* frame, std::size_t size) noexcept ASSAY_NONBLOCKING {
    free_frame(frame, size);
  }

  bool is_fresh() const noexcept { return state_ == State::fresh; }
  bool is_finished() const noexcept { return state_ == State::finished; }

  // Runs the coroutine until it suspends or finishes.
  // SAFETY(C2): the coroutine is suspended (invariants 1 and 2, checked), so it may be resumed; it cannot be destroyed while
  // it runs, so this object is alive afterwards.
  ASSAY_RUNS_OTHERS void resume() noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(state_ <= State::suspended, "internal: a coroutine was resumed that runs or has finished");
    ASSAY_ASSERT(handle_ != nullptr, "internal: a coroutine has no handle");
    state_ = State::running;
    ASSAY_UNCHECKED(handle_.resume());
    if (state_ == State::running) state_ = State::suspended;
  }

 protected:
  Frame() noexcept = default;
  ~Frame() = default;

  // Ends the coroutine; this object is gone when it returns.
  // SAFETY(C3): the coroutine is suspended, at its start or its end if not in between (checked), so it may be destroyed; the
  // only caller, Coroutine::destroy, has made its owner forget it.
  ASSAY_RUNS_OTHERS void destroy() noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(state_ != State::running, "an Async was destroyed from inside its own poll");
    ASSAY_ASSERT(handle_ != nullptr, "internal: a coroutine has no handle");
    ASSAY_UNCHECKED(handle_.destroy());
  }

  // To be called at the final suspension point.
  void mark_finished() noexcept {
    ASSAY_CHECK(state_ == State::running, "internal: a coroutine finished that did not run");
    state_ = State::finished;
  }

 private:
  template <class Promise, class Owner>
  friend class FrameOwner;
  enum class State : std::uint8_t { fresh, suspended, running, finished };  // the first two may be resumed

  std::coroutine_handle<> handle_;
  State state_ = State::fresh;
};

// Adds to an Owner, which is made from a promise and owns its frame, the type of that promise.
template <class Promise, class Owner>
class FrameOwner : public Owner {
 public:
  // SAFETY(C4): called from get_return_object of that very promise, so it lies in a coroutine frame.
  explicit FrameOwner(Promise& promise) noexcept : Owner(promise) {
    static_cast<Frame&>(promise).handle_ = std::coroutine_handle<Promise>::from_promise(promise);
  }

  // The promise of the finished coroutine; aborts unless it has finished.
  // SAFETY(C5): the constructor is the only way to a frame (moves keep it), so the frame is the base of a Promise.
  Promise& finished_promise() const noexcept { return static_cast<Promise&>(this->finished_frame()); }
};

}  // namespace assay::audited
