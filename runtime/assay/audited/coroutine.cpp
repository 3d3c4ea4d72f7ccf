// Purpose: the trampoline. See coroutine.hpp.
// Thread rules: see coroutine.hpp.
// Invariants:
//  (1) Only poll() resumes, only destroy() destroys; both from a loop, never from inside a resumed coroutine of the chain.
#include "assay/audited/coroutine.hpp"

#include "assay/audited/current.hpp"

namespace assay::audited {

void Frame::suspend_on(Leaf& leaf) noexcept {
  ASSAY_CHECK(state_ == State::active && root_->top_ == this, "internal: a coroutine waits that is not the innermost");
  ASSAY_ASSERT(root_->leaf_ == nullptr, "internal: a coroutine waits on two futures");
  root_->leaf_ = &leaf;
}

Context& Frame::context() const noexcept {
  ASSAY_CHECK(state_ == State::active && root_->context_ != nullptr,
              "a coroutine of assay was resumed by something else than a poll");
  return *root_->context_;
}

// At the final suspension point: the coroutine that awaits this one goes on.
void Frame::finish() noexcept {
  ASSAY_CHECK(state_ == State::active && root_->top_ == this, "internal: a coroutine finished that is not the innermost");
  root_->top_ = parent_;
  root_ = nullptr;
  parent_ = nullptr;
  state_ = State::finished;
}

Coroutine::Coroutine(Coroutine&& other) noexcept {
  ASSAY_CHECK(!other.is_pinned(), "an Async was moved after its first poll");
  frame_ = std::exchange(other.frame_, nullptr);
  if (frame_ != nullptr) frame_->owner_ = this;
}

Coroutine& Coroutine::operator=(Coroutine&& other) noexcept {
  ASSAY_CHECK(!other.is_pinned(), "an Async was moved after its first poll");
  if (this == &other) return *this;
  reset();
  frame_ = std::exchange(other.frame_, nullptr);
  if (frame_ != nullptr) frame_->owner_ = this;
  return *this;
}

bool Coroutine::poll(Context& context) noexcept {
  ASSAY_CHECK(frame_ != nullptr, "an Async was polled that is empty: moved from, or awaited to its end");
  ASSAY_CHECK(frame_->state_ != Frame::State::finished, "an Async was polled again after it was Ready");
  ASSAY_CHECK(context_ == nullptr, "an Async was polled from inside its own poll");
  if (frame_->state_ == Frame::State::fresh) {
    frame_->state_ = Frame::State::active;
    frame_->root_ = this;
    top_ = frame_;
  }
  ASSAY_CHECK(frame_->root_ == this, "an Async was polled while a coroutine awaits it");
  context_ = &context;
  context.enter();
  if (leaf_ == nullptr || leaf_->poll_(*leaf_, context)) {
    leaf_ = nullptr;
    do {
      // SAFETY(C5): top_ is active and suspended (invariant 1): fresh, at a child that has finished, or at a ready leaf.
      top_->handle_.resume();
    } while (top_ != nullptr && leaf_ == nullptr);
  }
  context.leave();
  context_ = nullptr;
  return top_ == nullptr;
}

void Coroutine::await_from(Frame& parent) noexcept {
  ASSAY_CHECK(frame_ != nullptr, "co_await of an Async that is empty: moved from, or awaited already");
  ASSAY_CHECK(frame_->state_ == Frame::State::fresh, "co_await of an Async that was polled or awaited before");
  ASSAY_CHECK(parent.state_ == Frame::State::active && parent.root_->top_ == &parent,
              "internal: a coroutine awaits that is not the innermost");
  frame_->state_ = Frame::State::active;
  frame_->root_ = parent.root_;
  frame_->parent_ = &parent;
  parent.root_->top_ = frame_;
}

void Coroutine::destroy(Frame& frame) noexcept {
  ASSAY_ASSERT(frame.owner_ != nullptr && frame.owner_->frame_ == &frame, "internal: a coroutine's owner is wrong");
  frame.owner_->frame_ = nullptr;
  // SAFETY(C6): the frame is suspended (invariant 1), its owner has just forgotten it, and nothing else refers to it.
  frame.handle_.destroy();
}

void Coroutine::reset() noexcept {
  if (frame_ == nullptr) return;
  ASSAY_CHECK(context_ == nullptr, "an Async was destroyed from inside its own poll");
  if (frame_->state_ == Frame::State::active) {
    ASSAY_CHECK(frame_->root_ == this, "an Async was destroyed while a coroutine awaits it");
    leaf_ = nullptr;
    while (top_ != nullptr) {
      Frame& innermost = *top_;
      top_ = innermost.parent_;
      destroy(innermost);
    }
    ASSAY_ASSERT(frame_ == nullptr, "internal: a chain of coroutines did not end at its root");
    return;
  }
  // A fresh frame may own other fresh ones (its arguments): that nesting is the user's, and bounded here.
  unsigned& nesting = current.fresh_nesting;
  ASSAY_CHECK(nesting < max_fresh_nesting,
              "a chain of more than 2000 coroutines that own each other is destroyed without having been awaited");
  ++nesting;
  destroy(*frame_);
  --nesting;
}

std::size_t Coroutine::check_deep() const noexcept {
  std::size_t depth = 0;
  ASSAY_CHECK(frame_ == nullptr || frame_->owner_ == this, "internal: a coroutine's owner is wrong");
  ASSAY_CHECK(leaf_ == nullptr || top_ != nullptr, "internal: a coroutine waits that has finished");
  const Frame* last = nullptr;
  for (const Frame* frame = top_; frame != nullptr; frame = frame->parent_) {
    ASSAY_CHECK(frame->state_ == Frame::State::active && frame->root_ == this, "internal: a frame is in a wrong chain");
    ASSAY_CHECK(frame->owner_ != nullptr && frame->owner_->frame_ == frame, "internal: a coroutine's owner is wrong");
    last = frame;
    ++depth;
  }
  ASSAY_CHECK(last == nullptr || last == frame_, "internal: a chain of coroutines does not end at its root");
  return depth;
}

}  // namespace assay::audited
