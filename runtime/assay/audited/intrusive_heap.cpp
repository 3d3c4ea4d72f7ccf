// Purpose: the pairing heap. See intrusive_heap.hpp.
// Thread rules: one thread.
// Invariants:
//  (1) meld_siblings and check_deep use links only: the depth of the native stack does not depend on the heap.
#include "assay/audited/intrusive_heap.hpp"

#include <utility>

namespace assay::audited {

namespace {
constexpr const char* broken =
    "internal: a timer queue's links are broken (was an object moved, freed or overwritten while it waited?)";
}

HeapLinks::~HeapLinks() {
  if (is_linked()) unlink();
}

void HeapLinks::unlink() noexcept {
  ASSAY_CHECK(heap_ != nullptr, "internal: a heap node was unlinked twice");
  heap_->remove(*this);
  ASSAY_ASSERT(heap_ == nullptr && child_ == nullptr && next_ == nullptr && previous_ == nullptr, broken);
}

HeapBase::~HeapBase() {
  while (root_ != nullptr) remove(*root_);
  ASSAY_ASSERT(size_ == 0, broken);
}

void HeapBase::insert(HeapLinks& node, std::int64_t key) noexcept {
  ASSAY_CHECK(node.heap_ == nullptr, "internal: a heap node was inserted twice");
  ASSAY_ASSERT(next_sequence_ + 1 != 0, "internal: a heap's sequence wrapped");
  node.heap_ = this;
  node.key_ = key;
  node.sequence_ = next_sequence_++;
  root_ = meld(root_, &node);
  ++size_;
}

// Both are roots (no siblings, no parent); either may be null.
HeapLinks* HeapBase::meld(HeapLinks* a, HeapLinks* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  ASSAY_ASSERT(a->next_ == nullptr && b->next_ == nullptr && a->previous_ == nullptr && b->previous_ == nullptr, broken);
  if (before(*b, *a)) std::swap(a, b);
  b->next_ = a->child_;
  if (b->next_ != nullptr) b->next_->previous_ = b;
  b->previous_ = a;
  a->child_ = b;
  return a;
}

// Makes one heap of a chain of siblings: neighbours are paired left to right, then the pairs melded right to left.
HeapLinks* HeapBase::meld_siblings(HeapLinks* first) noexcept {
  HeapLinks* pairs = nullptr;
  while (first != nullptr) {
    HeapLinks* const a = first;
    HeapLinks* const b = a->next_;
    first = b != nullptr ? b->next_ : nullptr;
    a->next_ = a->previous_ = nullptr;
    if (b != nullptr) b->next_ = b->previous_ = nullptr;
    HeapLinks* const pair = meld(a, b);
    pair->next_ = pairs;
    pairs = pair;
  }
  HeapLinks* all = nullptr;
  while (pairs != nullptr) {
    HeapLinks* const rest = std::exchange(pairs->next_, nullptr);
    all = meld(all, pairs);
    pairs = rest;
  }
  ASSAY_ASSERT(all == nullptr || (all->next_ == nullptr && all->previous_ == nullptr), broken);
  return all;
}

void HeapBase::remove(HeapLinks& node) noexcept {
  ASSAY_CHECK(node.heap_ == this && size_ > 0, "internal: a heap node was removed from another heap");
  HeapLinks* const below = meld_siblings(std::exchange(node.child_, nullptr));
  if (root_ == &node) {
    root_ = below;
  } else {
    ASSAY_ASSERT(node.previous_ != nullptr, broken);
    (node.previous_->child_ == &node ? node.previous_->child_ : node.previous_->next_) = node.next_;
    if (node.next_ != nullptr) node.next_->previous_ = node.previous_;
    node.next_ = node.previous_ = nullptr;
    root_ = meld(root_, below);
  }
  node.heap_ = nullptr;
  --size_;
  ASSAY_ASSERT((root_ == nullptr) == (size_ == 0), broken);
}

std::size_t HeapBase::check_deep() const noexcept {
  std::size_t count = 0;
  const HeapLinks* at = root_;
  ASSAY_CHECK(at == nullptr || (at->previous_ == nullptr && at->next_ == nullptr), broken);
  while (at != nullptr) {
    ++count;
    ASSAY_CHECK(at->heap_ == this, broken);
    if (at->child_ != nullptr) {
      ASSAY_CHECK(at->child_->previous_ == at && before(*at, *at->child_), broken);
      at = at->child_;
      continue;
    }
    // Climb until a node with a right sibling: back along the siblings to the first child, whose previous is the parent.
    while (at != nullptr && at->next_ == nullptr) {
      while (at->previous_ != nullptr && at->previous_->child_ != at) at = at->previous_;
      at = at->previous_;
    }
    if (at != nullptr) {
      const HeapLinks* parent = at;
      while (parent->previous_->child_ != parent) parent = parent->previous_;
      parent = parent->previous_;
      ASSAY_CHECK(at->next_->previous_ == at && before(*parent, *at->next_), broken);
      at = at->next_;
    }
  }
  ASSAY_CHECK(count == size_, broken);
  return count;
}

}  // namespace assay::audited
