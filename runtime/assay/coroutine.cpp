// See coroutine.hpp.
#include "assay/coroutine.hpp"

#include "assay/audited/current.hpp"

namespace assay::detail {

void ChainFrame::suspend_on(Leaf& leaf) noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->top_ == this, "internal: a coroutine waits that is not the innermost");
  ASSAY_ASSERT(root_->leaf_ == nullptr, "internal: a coroutine waits on two futures");
  root_->leaf_ = &leaf;
}

Context& ChainFrame::context() const noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->context_ != nullptr,
              "a coroutine of assay was resumed by something else than a poll");
  return *root_->context_;
}

void ChainFrame::finish() noexcept {
  ASSAY_CHECK(root_ != nullptr && root_->top_ == this, "internal: a coroutine finished that is not the innermost");
  root_->top_ = parent_;
  root_ = nullptr;
  parent_ = nullptr;
  mark_finished();
}

Coroutine::Coroutine(Coroutine&& other) noexcept { take_over(other); }

Coroutine& Coroutine::operator=(Coroutine&& other) noexcept {
  if (this == &other) return *this;
  reset();
  take_over(other);
  return *this;
}

void Coroutine::take_over(Coroutine& other) noexcept {
  ASSAY_CHECK(other.frame_ == nullptr || other.frame_->root_ == nullptr, "an Async was moved after its first poll");
  frame_ = std::exchange(other.frame_, nullptr);
  if (frame_ != nullptr) frame_->owner_ = this;
}

bool Coroutine::poll(Context& context) noexcept {
  ASSAY_CHECK(frame_ != nullptr, "an Async was polled that is empty: moved from, or awaited to its end");
  ASSAY_CHECK(!frame_->is_finished(), "an Async was polled again after it was Ready");
  ASSAY_CHECK(context_ == nullptr, "an Async was polled from inside its own poll");
  if (frame_->root_ == nullptr) {
    frame_->root_ = this;
    top_ = frame_;
  }
  ASSAY_CHECK(frame_->root_ == this, "an Async was polled while a coroutine awaits it");
  context_ = &context;
  context.enter();
  if (leaf_ == nullptr || leaf_->poll_leaf(context)) {
    leaf_ = nullptr;
    do {
      top_->resume();
    } while (top_ != nullptr && leaf_ == nullptr);
  }
  context.leave();
  context_ = nullptr;
  return top_ == nullptr;
}

void Coroutine::await_from(ChainFrame& parent) noexcept {
  ASSAY_CHECK(frame_ != nullptr, "co_await of an Async that is empty: moved from, or awaited already");
  ASSAY_CHECK(frame_->is_fresh() && frame_->root_ == nullptr, "co_await of an Async that was polled or awaited before");
  ASSAY_CHECK(parent.root_ != nullptr && parent.root_->top_ == &parent,
              "internal: a coroutine awaits that is not the innermost");
  frame_->root_ = parent.root_;
  frame_->parent_ = &parent;
  parent.root_->top_ = frame_;
}

ChainFrame& Coroutine::finished_frame() const noexcept {
  ASSAY_CHECK(frame_ != nullptr && frame_->is_finished(), "the result of a coroutine was asked for that has not finished");
  return *frame_;
}

// The owner forgets the frame first, so nothing refers to it while its destructors run.
void Coroutine::destroy(ChainFrame& frame) noexcept {
  ASSAY_ASSERT(frame.owner_ != nullptr && frame.owner_->frame_ == &frame, "internal: a coroutine's owner is wrong");
  frame.owner_->frame_ = nullptr;
  frame.destroy();
}

void Coroutine::reset() noexcept {
  if (frame_ == nullptr) return;
  ASSAY_CHECK(context_ == nullptr, "an Async was destroyed from inside its own poll");
  if (frame_->root_ != nullptr) {
    ASSAY_CHECK(frame_->root_ == this, "an Async was destroyed while a coroutine awaits it");
    leaf_ = nullptr;
    while (top_ != nullptr) {
      ChainFrame& innermost = *top_;
      top_ = innermost.parent_;
      destroy(innermost);
    }
    ASSAY_ASSERT(frame_ == nullptr, "internal: a chain of coroutines did not end at its root");
    return;
  }
  // A fresh frame may own other fresh ones (its arguments): that nesting is the user's, and bounded here.
  unsigned& nesting = audited::current.fresh_nesting;
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
  const ChainFrame* last = nullptr;
  for (const ChainFrame* frame = top_; frame != nullptr; frame = frame->parent_) {
    ASSAY_CHECK(frame->root_ == this, "internal: a frame is in a wrong chain");
    ASSAY_CHECK(frame->owner_ != nullptr && frame->owner_->frame_ == frame, "internal: a coroutine's owner is wrong");
    last = frame;
    ++depth;
  }
  ASSAY_CHECK(last == nullptr || last == frame_, "internal: a chain of coroutines does not end at its root");
  return depth;
}

}  // namespace assay::detail
