// Purpose: runs coroutines that await each other without recursion. A Coroutine owns one frame; the one that is polled
//   from outside is a *root*, and keeps the chain of frames that await each other: the innermost (top), and the leaf future
//   on which that one waits.
//
//     root.poll -> leaf ready? -> resume top --- awaits a child ----> top = child    --.
//                                   ^        |-- finished ----------> top = parent   --| loop until top is null (done)
//                                   |        `-- a leaf is Pending -> return Pending   |        or a leaf is Pending
//                                   `--------------------------------------------------'
//
// Thread rules: one thread at a time; a root may move to another thread between polls if what it awaits allows that.
// Invariants:
//  (1) A frame is *fresh* (never resumed), *active* (in exactly one root's chain) or *finished*; a resumed frame is always
//      suspended when the loop in poll() looks at it.
//  (2) Frame::owner is the Coroutine that owns the frame; the two point to each other for the frame's life.
//  (3) The chain from top follows Frame::parent to the root's own frame. leaf, when set, lies in the frame of top.
//  (4) Frames of a chain are destroyed innermost first, in a loop, each owner told before: no recursion, and what an inner
//      frame refers to in an outer one is still alive.
//  (5) A Coroutine that is a root, or is awaited, does not move.
#pragma once

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"
#include "assay/audited/context.hpp"
#include "assay/audited/frame_pool.hpp"

namespace assay::audited {

class Coroutine;

// A future on which a coroutine waits, inside that coroutine's frame.
class Leaf {
 public:
  Leaf(const Leaf&) = delete;
  Leaf& operator=(const Leaf&) = delete;

 protected:
  using Poll = bool (*)(Leaf&, Context&) noexcept;
  Leaf(Poll poll, const std::source_location& where) noexcept : poll_(poll), where_(where) {}
  ~Leaf() = default;

 private:
  friend class Coroutine;
  const Poll poll_;  // true: ready, its result is stored
  const std::source_location where_;
};

// D has `bool poll_leaf(Context&) noexcept`.
template <class D>
class LeafOf : public Leaf {
 protected:
  explicit LeafOf(const std::source_location& where) noexcept : Leaf(poll_as_d, where) {}

 private:
  // SAFETY(C1): only D derives from LeafOf<D>, so the Leaf whose table entry this is is the base of a D.
  static bool poll_as_d(Leaf& leaf, Context& context) noexcept {
    return static_cast<D&>(static_cast<LeafOf&>(leaf)).poll_leaf(context);
  }
};

// The part of a promise that the kernel knows.
class Frame {
 public:
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  // Frames come from the pool.
  // SAFETY(C2): the compiler pairs these two for the same frame.
  static void* operator new(std::size_t size) { return take_frame(size); }
  // SAFETY(C2): see operator new.
  static void operator delete(void* frame, std::size_t) noexcept { free_frame(frame); }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      handle.promise().finish();
    }
    void await_resume() const noexcept {}
  };
  Final final_suspend() const noexcept { return {}; }

  // Where the coroutine waits, while a leaf of it is Pending.
  void suspend_on(Leaf& leaf) noexcept;
  // What the current poll was given.
  Context& context() const noexcept;

 protected:
  Frame() noexcept = default;
  ~Frame() = default;

 private:
  friend class Coroutine;
  enum class State : std::uint8_t { fresh, active, finished };

  void finish() noexcept;

  std::coroutine_handle<> handle_;
  Coroutine* owner_ = nullptr;
  Coroutine* root_ = nullptr;  // while active
  Frame* parent_ = nullptr;    // who awaits it
  State state_ = State::fresh;
};

class Coroutine {
 public:
  // Takes over a frame that was just made.
  template <class Promise>
  explicit Coroutine(Promise& promise) noexcept : frame_(&promise) {
    // SAFETY(C3): called from get_return_object of that very promise, so it lies in a coroutine frame.
    frame_->handle_ = std::coroutine_handle<Promise>::from_promise(promise);
    frame_->owner_ = this;
  }
  Coroutine(Coroutine&& other) noexcept;
  Coroutine& operator=(Coroutine&& other) noexcept;
  ~Coroutine() { reset(); }

  bool is_empty() const noexcept { return frame_ == nullptr; }

  // Polls as a root. True: finished, its result is in the promise.
  bool poll(Context& context) noexcept;

  // Becomes the innermost frame of the chain in which `parent` is innermost now.
  void await_from(Frame& parent) noexcept;

  // Destroys what is left: the chain, innermost first, or the fresh or finished frame.
  void reset() noexcept;

  // Where the innermost coroutine waits, or null.
  const std::source_location* waiting_at() const noexcept { return leaf_ != nullptr ? &leaf_->where_ : nullptr; }

  // Aborts unless the invariants hold; returns the number of frames in the chain. O(depth).
  std::size_t check_deep() const noexcept;

 protected:
  // The frame of a finished coroutine.
  Frame& finished_frame() const noexcept {
    ASSAY_CHECK(frame_ != nullptr && frame_->state_ == Frame::State::finished,
                "the result of a coroutine was asked for that has not finished");
    return *frame_;
  }

 private:
  friend class Frame;

  static constexpr unsigned max_fresh_nesting = 2000;

  bool is_pinned() const noexcept { return frame_ != nullptr && frame_->state_ == Frame::State::active; }
  static void destroy(Frame& frame) noexcept;

  Frame* frame_ = nullptr;
  // Of a root:
  Frame* top_ = nullptr;
  Leaf* leaf_ = nullptr;
  Context* context_ = nullptr;  // while it is being polled
};

// A Coroutine that knows its promise's type.
template <class Promise>
class CoroutineOf : public Coroutine {
 public:
  explicit CoroutineOf(Promise& promise) noexcept : Coroutine(promise) {}

  // Aborts unless the coroutine has finished.
  // SAFETY(C4): the constructor is the only way to a frame (moves keep it), so the frame is the base of a Promise.
  Promise& finished_promise() const noexcept { return static_cast<Promise&>(finished_frame()); }
};

}  // namespace assay::audited
