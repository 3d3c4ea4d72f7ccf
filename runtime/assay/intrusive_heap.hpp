// A priority queue whose nodes are members of what is queued: a pairing heap, ordered by key, then by the order of insertion.
// Insert O(1); remove and pop O(log n) amortised. No allocation, no recursion. One thread, the one that owns the heap.
//
// Invariants:
//  (1) A node's key (then sequence) is not smaller than its parent's; the root has neither parent nor siblings.
//  (2) `previous` of a first child is its parent, of any other child its left sibling, of the root null.
//  (3) A node not in a heap has no heap; nodes never move, and leave their heap when destroyed.
//  (4) A heap that is destroyed first lets go of what is left in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "assay/audited/current.hpp"
#include "assay/base/check.hpp"

namespace assay {

template <class T>
class IntrusiveHeap;

// Derive T from HeapNode<T> to queue it.
template <class T>
class HeapNode {
 public:
  HeapNode() noexcept = default;
  ~HeapNode() {
    if (is_linked()) unlink();
  }
  HeapNode(const HeapNode&) = delete;
  HeapNode& operator=(const HeapNode&) = delete;

  bool is_linked() const noexcept { return heap_ != nullptr; }
  const IntrusiveHeap<T>* heap() const noexcept { return heap_; }
  std::int64_t key() const noexcept { return key_; }
  std::uint64_t sequence() const noexcept { return sequence_; }  // grows with each push

  // Leaves its heap. O(log n) amortised.
  void unlink() noexcept {
    ASSAY_CHECK(heap_ != nullptr, "internal: a heap node was unlinked twice");
    heap_->check_owner();
    heap_->remove(*this);
  }

 private:
  friend class IntrusiveHeap<T>;

  T* item_ = nullptr;  // the object of which this is a part
  HeapNode* child_ = nullptr;
  HeapNode* next_ = nullptr;
  HeapNode* previous_ = nullptr;
  IntrusiveHeap<T>* heap_ = nullptr;
  std::int64_t key_ = 0;
  std::uint64_t sequence_ = 0;
};

template <class T>
class IntrusiveHeap {
 public:
  IntrusiveHeap() noexcept = default;
  ~IntrusiveHeap() {
    while (root_ != nullptr) remove(*root_);
  }
  IntrusiveHeap(const IntrusiveHeap&) = delete;
  IntrusiveHeap& operator=(const IntrusiveHeap&) = delete;

  bool empty() const noexcept { return root_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  // Queues `item` under `key`. O(1).
  void push(T& item, std::int64_t key) noexcept {
    Node& node = item;
    ASSAY_CHECK(node.heap_ == nullptr, "internal: a heap node was inserted twice");
    node.item_ = &item;
    node.heap_ = this;
    node.key_ = key;
    node.sequence_ = next_sequence_++;
    root_ = meld(root_, &node);
    ++size_;
  }

  // The item with the smallest key, the first inserted among equals; or null. O(1).
  T* front() const noexcept { return root_ != nullptr ? root_->item_ : nullptr; }

  // The sequence number of what is pushed next.
  std::uint64_t next_sequence() const noexcept { return next_sequence_; }

  // Walks the heap and aborts where an invariant does not hold; returns the number of nodes. O(n).
  std::size_t check_deep() const noexcept {
    std::size_t count = 0;
    const Node* at = root_;
    ASSAY_CHECK(at == nullptr || (at->previous_ == nullptr && at->next_ == nullptr), broken);
    while (at != nullptr) {
      ++count;
      ASSAY_CHECK(at->heap_ == this, broken);
      if (at->child_ != nullptr) {
        ASSAY_CHECK(at->child_->previous_ == at && before(*at, *at->child_), broken);
        at = at->child_;
        continue;
      }
      while (at != nullptr && at->next_ == nullptr) at = parent(at);
      if (at == nullptr) break;
      ASSAY_CHECK(at->next_->previous_ == at && before(*parent(at), *at->next_), broken);
      at = at->next_;
    }
    ASSAY_CHECK(count == size_, broken);
    return count;
  }

 private:
  using Node = HeapNode<T>;
  friend Node;

  static constexpr const char* broken =
      "internal: a timer queue's links are broken (was an object moved, freed or overwritten while it waited?)";

  static bool before(const Node& a, const Node& b) noexcept {
    return a.key_ != b.key_ ? a.key_ < b.key_ : a.sequence_ < b.sequence_;
  }

  // Back along the siblings to the first child, whose previous is the parent.
  static const Node* parent(const Node* node) noexcept {
    while (node->previous_ != nullptr && node->previous_->child_ != node) node = node->previous_;
    return node->previous_;
  }

  // Both are roots (no siblings, no parent); either may be null.
  static Node* meld(Node* a, Node* b) noexcept {
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
  static Node* meld_siblings(Node* first) noexcept {
    Node* pairs = nullptr;
    while (first != nullptr) {
      Node* const a = first;
      Node* const b = a->next_;
      first = b != nullptr ? b->next_ : nullptr;
      a->next_ = a->previous_ = nullptr;
      if (b != nullptr) b->next_ = b->previous_ = nullptr;
      Node* const pair = meld(a, b);
      pair->next_ = pairs;
      pairs = pair;
    }
    Node* all = nullptr;
    while (pairs != nullptr) {
      Node* const rest = std::exchange(pairs->next_, nullptr);
      all = meld(all, pairs);
      pairs = rest;
    }
    return all;
  }

  void check_owner() const noexcept {
    ASSAY_CHECK(owner_ == audited::current_thread_id(), "a timer was destroyed on another thread than its executor's");
  }

  void remove(Node& node) noexcept {
    ASSAY_CHECK(node.heap_ == this && size_ > 0, "internal: a heap node was removed from another heap");
    Node* const below = meld_siblings(std::exchange(node.child_, nullptr));
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

  Node* root_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t next_sequence_ = 0;
  const std::uint64_t owner_ = audited::current_thread_id();
};

}  // namespace assay
