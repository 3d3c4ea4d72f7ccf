// Runs coroutines that await each other without recursion. A Coroutine owns one frame; the one that is polled from outside is
// a *root*, and keeps the chain of frames that await each other: the innermost (top), and the leaf future on which that waits.
//
//     root.poll -> leaf ready? -> resume top --- awaits a child ----> top = child    --.
//                                   ^        |-- finished ----------> top = parent   --| loop until top is null (done)
//                                   |        `-- a leaf is Pending -> return Pending   |        or a leaf is Pending
//                                   `--------------------------------------------------'
//
// One thread at a time; a root may move to another thread between polls if what it awaits allows that.
//
// Invariants:
//  (1) A frame with a root is *active*: in exactly that root's chain. One without is fresh or finished.
//  (2) ChainFrame::owner_ is the Coroutine that owns the frame; the two point to each other for the frame's life.
//  (3) The chain from top follows parent_ to the root's own frame. leaf, when set, lies in the frame of top.
//  (4) Frames of a chain are destroyed innermost first, in a loop, each owner told before: no recursion, and what an inner
//      frame refers to in an outer one is still alive.
//  (5) A Coroutine that is a root, or is awaited, does not move.
#pragma once

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <utility>

#include "assay/audited/context.hpp"
#include "assay/audited/coroutine.hpp"
#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"

namespace assay::detail {

class Coroutine;

// A future on which a coroutine waits, inside that coroutine's frame.
class Leaf {
 public:
  Leaf(const Leaf&) = delete;
  Leaf& operator=(const Leaf&) = delete;

  // True: ready, and its result or exception is stored.
  ASSAY_RUNS_OTHERS virtual bool poll_leaf(Context& context) noexcept ASSAY_NONBLOCKING = 0;

  const std::source_location& where() const noexcept { return where_; }

 protected:
  explicit Leaf(const std::source_location& where) noexcept : where_(where) {}
  ~Leaf() = default;

 private:
  const std::source_location where_;
};

// The part of a promise that knows who awaits whom.
class ChainFrame : public audited::Frame {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }

  // At the end, the coroutine that awaits this one goes on.
  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise>) const noexcept {
      frame.finish();
    }
    void await_resume() const noexcept {}
    ChainFrame& frame;
  };
  Final final_suspend() noexcept { return Final{*this}; }

  // Where the coroutine waits, while a leaf of it is Pending.
  void suspend_on(Leaf& leaf) noexcept;
  // The same, on a leaf that is Ready at the next poll without being asked.
  void suspend_once(Leaf& leaf) noexcept {
    suspend_on(leaf);
    is_leaf_ready_ = true;
  }
  // What the current poll was given.
  Context& context() const noexcept;

 protected:
  ChainFrame() noexcept = default;
  ~ChainFrame() = default;

 private:
  friend class Coroutine;

  void finish() noexcept;

  bool is_leaf_ready_ = false;  // of the innermost frame: suspend_once()
  Coroutine* owner_ = nullptr;
  Coroutine* root_ = nullptr;      // while active
  ChainFrame* parent_ = nullptr;  // who awaits it
};

class Coroutine {
 public:
  Coroutine(Coroutine&& other) noexcept { take_over(other); }
  Coroutine& operator=(Coroutine&& other) noexcept;
  ~Coroutine() { reset(); }

  // Polls as a root. True: finished, its result is in the promise.
  ASSAY_HOT ASSAY_RUNS_OTHERS bool poll(Context& context) noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(context_ == nullptr, "an Async was polled from inside its own poll");
    if (leaf_ == nullptr) become_root();  // a leaf lies in a chain that has begun
    context_ = &context;
    context.enter();
    if (leaf_ == nullptr || std::exchange(top_->is_leaf_ready_, false) || leaf_->poll_leaf(context)) {
      leaf_ = nullptr;
      do {
        top_->resume();
      } while (top_ != nullptr && leaf_ == nullptr);
    }
    context.leave();
    context_ = nullptr;
    return top_ == nullptr;
  }

  // Becomes the innermost frame of the chain in which `parent` is innermost now.
  ASSAY_HOT void await_from(ChainFrame& parent) noexcept ASSAY_NONBLOCKING {
    ASSAY_CHECK(frame_ != nullptr, "co_await of an Async that is empty: moved from, or awaited already");
    ASSAY_CHECK(frame_->is_fresh() && frame_->root_ == nullptr, "co_await of an Async that was polled or awaited before");
    Coroutine* const root = parent.root_;
    ASSAY_CHECK(root != nullptr && root->top_ == &parent, "internal: a coroutine awaits that is not the innermost");
    frame_->root_ = root;
    frame_->parent_ = &parent;
    root->top_ = frame_;
  }

  // Destroys what is left: the chain, innermost first, or the fresh or finished frame.
  ASSAY_RUNS_OTHERS void reset() noexcept ASSAY_NONBLOCKING {
    if (frame_ == nullptr) return;
    if (frame_->is_finished()) return destroy(*frame_);  // no local of it is left
    reset_unfinished();
  }

  // Where the innermost coroutine waits, or null.
  const std::source_location* waiting_at() const noexcept { return leaf_ != nullptr ? &leaf_->where() : nullptr; }

  // Aborts unless the invariants hold; returns the number of frames in the chain. O(depth).
  std::size_t check_deep() const noexcept;

 protected:
  // Takes over a frame that was just made.
  explicit Coroutine(ChainFrame& frame) noexcept : frame_(&frame) { frame.owner_ = this; }

  ChainFrame& finished_frame() const noexcept {
    ASSAY_CHECK(frame_ != nullptr && frame_->is_finished(), "the result of a coroutine was asked for that has not finished");
    return *frame_;
  }

 private:
  friend class ChainFrame;

  static constexpr unsigned max_fresh_nesting = 2000;

  void take_over(Coroutine& other) noexcept {
    ASSAY_CHECK(other.frame_ == nullptr || other.frame_->root_ == nullptr, "an Async was moved after its first poll");
    frame_ = std::exchange(other.frame_, nullptr);
    if (frame_ != nullptr) frame_->owner_ = this;
  }

  // The owner forgets the frame first, so nothing refers to it while its destructors run.
  static void destroy(ChainFrame& frame) noexcept {
    ASSAY_ASSERT(frame.owner_ != nullptr && frame.owner_->frame_ == &frame, "internal: a coroutine's owner is wrong");
    frame.owner_->frame_ = nullptr;
    frame.destroy();
  }

  ASSAY_COLD void become_root() noexcept ASSAY_NONBLOCKING;
  ASSAY_RUNS_OTHERS void reset_unfinished() noexcept ASSAY_NONBLOCKING;

  ChainFrame* frame_ = nullptr;
  // Of a root:
  ChainFrame* top_ = nullptr;
  Leaf* leaf_ = nullptr;
  Context* context_ = nullptr;  // while it is being polled
};

inline void ChainFrame::suspend_on(Leaf& leaf) noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->top_ == this, "internal: a coroutine waits that is not the innermost");
  ASSAY_ASSERT(root_->leaf_ == nullptr, "internal: a coroutine waits on two futures");
  root_->leaf_ = &leaf;
}

inline Context& ChainFrame::context() const noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->context_ != nullptr,
              "a coroutine of assay was resumed by something else than a poll");
  return *root_->context_;
}

inline void ChainFrame::finish() noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->top_ == this, "internal: a coroutine finished that is not the innermost");
  root_->top_ = parent_;
  root_ = nullptr;
  parent_ = nullptr;
  mark_finished();
}

// A Coroutine that knows its promise's type.
template <class Promise>
using CoroutineOf = audited::FrameOwner<Promise, Coroutine>;

}  // namespace assay::detail
