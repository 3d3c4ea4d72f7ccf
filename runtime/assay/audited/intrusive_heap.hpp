// Purpose: a priority queue whose nodes are members of what is queued: a pairing heap, ordered by key, then by the
//   order of insertion. Insert O(1); remove and pop O(log n) amortised. No allocation, no recursion.
// Thread rules: one thread, the one that owns the heap.
// Invariants:
//  (1) A node's key (then sequence) is not smaller than its parent's; the root has neither parent nor siblings.
//  (2) `previous` of a first child is its parent, of any other child its left sibling, of the root null.
//  (3) A node not in a heap has heap() == null; nodes never move, and leave their heap when destroyed.
//  (4) A heap that is destroyed first lets go of what is left in it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/audited/attributes.hpp"
#include "assay/audited/check.hpp"

namespace assay::audited {

class HeapBase;

class HeapLinks {
 public:
  HeapLinks() noexcept = default;
  ~HeapLinks();
  HeapLinks(const HeapLinks&) = delete;
  HeapLinks& operator=(const HeapLinks&) = delete;

  bool is_linked() const noexcept { return heap_ != nullptr; }
  const HeapBase* heap() const noexcept { return heap_; }
  std::int64_t key() const noexcept { return key_; }

  // Leaves its heap. O(log n) amortised.
  void unlink() noexcept;

 private:
  friend class HeapBase;

  HeapLinks* child_ = nullptr;
  HeapLinks* next_ = nullptr;
  HeapLinks* previous_ = nullptr;
  HeapBase* heap_ = nullptr;
  std::int64_t key_ = 0;
  std::uint64_t sequence_ = 0;
};

class HeapBase {
 public:
  HeapBase() noexcept = default;
  ~HeapBase();
  HeapBase(const HeapBase&) = delete;
  HeapBase& operator=(const HeapBase&) = delete;

  bool empty() const noexcept { return root_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  // Walks the heap and aborts where an invariant does not hold; returns the number of nodes. O(n).
  std::size_t check_deep() const noexcept;

 protected:
  void insert(HeapLinks& node, std::int64_t key) noexcept;
  HeapLinks* root() const noexcept { return root_; }

 private:
  friend class HeapLinks;

  static bool before(const HeapLinks& a, const HeapLinks& b) noexcept {
    return a.key_ != b.key_ ? a.key_ < b.key_ : a.sequence_ < b.sequence_;
  }
  static HeapLinks* meld(HeapLinks* a, HeapLinks* b) noexcept;
  static HeapLinks* meld_siblings(HeapLinks* first) noexcept;
  void remove(HeapLinks& node) noexcept;

  HeapLinks* root_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t next_sequence_ = 0;
};

template <class T>
class HeapNode : public HeapLinks {};

// T derives from HeapNode<T>.
template <class T>
class IntrusiveHeap : public HeapBase {
 public:
  // Queues `item` under `key`. O(1).
  void push(T& item, std::int64_t key) noexcept { insert(static_cast<HeapNode<T>&>(item), key); }

  // The item with the smallest key, the first inserted among equals; or null. O(1).
  // SAFETY(H1): every node in the heap was put there by push(), as the HeapNode<T> base of a T.
  T* front() const noexcept { return static_cast<T*>(static_cast<HeapNode<T>*>(root())); }
};

}  // namespace assay::audited
