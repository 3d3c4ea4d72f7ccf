// See coroutine.hpp.
#include "assay/coroutine.hpp"

#include "assay/audited/current.hpp"

namespace assay::detail {

Coroutine& Coroutine::operator=(Coroutine&& other) noexcept {
  if (this == &other) return *this;
  reset();
  take_over(other);
  return *this;
}

// What poll() finds when nothing of it waits: its first poll, or a mistake.
void Coroutine::become_root() noexcept ASSAY_NONBLOCKING {
  ASSAY_CHECK(frame_ != nullptr, "an Async was polled that is empty: moved from, or awaited to its end");
  ASSAY_CHECK(!frame_->is_finished(), "an Async was polled again after it was Ready");
  ASSAY_CHECK(frame_->root_ == nullptr, "an Async was polled while a coroutine awaits it");
  frame_->root_ = this;
  top_ = frame_;
}

void Coroutine::reset_unfinished() noexcept ASSAY_NONBLOCKING {
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
  unsigned& nesting = audited::this_thread().fresh_nesting;
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
