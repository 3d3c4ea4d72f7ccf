// A priority queue whose nodes are members of what is queued, ordered by key, then by the order of insertion: a pairing heap,
// and before it the run, a sorted list of what gather() has taken out of the heap because its time has come.
// push() O(1); unlink() O(log n) amortised, O(1) in the run; gather() of k nodes O(k + log n) amortised: each is looked at
// in 54 passes at most, usually in 7. No allocation, no recursion. One thread, the one that owns the heap.
//
// Invariants:
//  (1) A node's key (then sequence) is not smaller than its parent's; the root has neither parent nor siblings.
//  (2) `previous` of a first child is its parent, of any other child its left sibling, of the root null.
//  (3) A node not in a heap has no heap; nodes never move, and leave their heap when destroyed.
//  (4) A heap that is destroyed first lets go of what is left in it.
//  (5) The run is sorted, and before all that is in the heap: what is pushed while it is not empty belongs behind it.
//  (6) `child` of a node of the run, and of no other, is the node itself.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "assay/audited/current.hpp"
#include "assay/base/check.hpp"
#include "assay/audited/effects.hpp"

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

  // Leaves its heap. O(log n) amortised; O(1) from the run.
  void unlink() noexcept ASSAY_NONBLOCKING {
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
  // Up to so many nodes are sorted by insertion, more are distributed first.
  static constexpr std::size_t default_few = 24;

  // Tests want less than the default, so that few nodes do what many do.
  explicit IntrusiveHeap(std::size_t few = default_few) noexcept : few_(few > 0 ? few : 1) {}
  ~IntrusiveHeap() {
    while (run_first_ != nullptr) remove(*run_first_);
    while (root_ != nullptr) remove(*root_);
  }
  IntrusiveHeap(const IntrusiveHeap&) = delete;
  IntrusiveHeap& operator=(const IntrusiveHeap&) = delete;

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  // Queues `item` under `key`, which is not smaller than any in the run. O(1).
  ASSAY_HOT void push(T& item, std::int64_t key) noexcept ASSAY_NONBLOCKING {
    Node& node = item;
    ASSAY_CHECK(node.heap_ == nullptr, "internal: a heap node was inserted twice");
    ASSAY_ASSERT(run_last_ == nullptr || run_last_->key_ <= key, "internal: a heap node was pushed before the run");
    node.item_ = &item;
    node.heap_ = this;
    node.key_ = key;
    node.sequence_ = next_sequence_++;
    root_ = root_ == nullptr ? &node : meld(root_, &node);
    ++size_;
  }

  // The item with the smallest key, the first inserted among equals; or null. O(1).
  T* front() const noexcept {
    const Node* const first = run_first_ != nullptr ? run_first_ : root_;
    return first != nullptr ? first->item_ : nullptr;
  }

  // The first of the run, or null. O(1).
  T* run_front() const noexcept { return run_first_ != nullptr ? run_first_->item_ : nullptr; }

  // Moves all nodes whose key is not larger than `limit` to the end of the run. Taken one by one, each would cost an order
  // among all that are left; and each look at a node that is not in the cache costs as much as all else that is done with it.
  void gather(std::int64_t limit) noexcept ASSAY_NONBLOCKING {
    if (root_ == nullptr || root_->key_ > limit) return;
    Node* const end = std::exchange(run_last_, nullptr);
    Node* const begin = std::exchange(run_first_, nullptr);
    sort(take_until(limit));
    if (end == nullptr) return;
    ASSAY_ASSERT(before(*end, *run_first_), broken);
    end->next_ = run_first_;
    run_first_->previous_ = end;
    run_first_ = begin;
  }

  // Walks all nodes and aborts where an invariant does not hold; returns their number. O(n).
  std::size_t check_deep() const noexcept {
    const std::size_t count = check_run() + check_heap();
    ASSAY_CHECK(count == size_, broken);
    return count;
  }

 private:
  using Node = HeapNode<T>;
  friend Node;

  static constexpr int max_digit_bits = 8;

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

  std::size_t check_run() const noexcept {
    std::size_t count = 0;
    const Node* last = nullptr;
    for (const Node* at = run_first_; at != nullptr; at = at->next_) {
      ++count;
      ASSAY_CHECK(at->heap_ == this && at->child_ == at && at->previous_ == last, broken);
      ASSAY_CHECK(last == nullptr || before(*last, *at), broken);
      last = at;
    }
    ASSAY_CHECK(run_last_ == last && (last == nullptr || root_ == nullptr || before(*last, *root_)), broken);
    return count;
  }

  std::size_t check_heap() const noexcept {
    std::size_t count = 0;
    const Node* at = root_;
    ASSAY_CHECK(at == nullptr || (at->previous_ == nullptr && at->next_ == nullptr), broken);
    while (at != nullptr) {
      ++count;
      ASSAY_CHECK(at->heap_ == this && at->child_ != at, broken);
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
    return count;
  }

  // Both are roots (no siblings, no parent).
  static Node* meld(Node* a, Node* b) noexcept {
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
      Node* const pair = b != nullptr ? meld(a, b) : a;
      pair->next_ = pairs;
      pairs = pair;
    }
    Node* all = nullptr;
    while (pairs != nullptr) {
      Node* const rest = std::exchange(pairs->next_, nullptr);
      all = all != nullptr ? meld(all, pairs) : pairs;
      pairs = rest;
    }
    return all;
  }

  // Takes the top of the heap off, all that is not larger than `limit`, and makes a heap of what hung below it. Returns what
  // was taken: a pile, linked by `child`. On the way down, a node whose later siblings are still to be visited is kept in a
  // chain by `previous`.
  Node* take_until(std::int64_t limit) noexcept {
    Node* taken = nullptr;
    Node* rest = nullptr;
    Node* postponed = nullptr;
    for (Node* at = std::exchange(root_, nullptr); at != nullptr;) {
      Node* next = at->next_;
      if (at->key_ > limit) {
        at->next_ = rest;
        rest = at;
      } else {
        Node* const child = std::exchange(at->child_, taken);
        taken = at;
        if (child != nullptr && next != nullptr) {
          at->previous_ = postponed;
          postponed = at;
        }
        if (child != nullptr) next = child;
      }
      if (next == nullptr && postponed != nullptr) {
        next = postponed->next_;
        postponed = postponed->previous_;
      }
      at = next;
    }
    root_ = meld_siblings(rest);
    return taken;
  }

  // Where the nodes of a pile are put that have the same digit: a pile again, linked by `child`, the last one put first. `next`
  // is the fourth one after: four chains that can be followed at the same time. One would wait for memory at each step.
  struct Pile {
    Node* first;
    Node* second;
    Node* third;
    Node* fourth;
    void add(Node& node) noexcept {
      node.child_ = first;
      node.next_ = fourth;
      fourth = std::exchange(third, std::exchange(second, std::exchange(first, &node)));
    }
  };

  // What a pile is made of: how many, between which keys and sequences. Keys as unsigned numbers of the same order.
  struct Extent {
    std::size_t count = 0;
    std::uint64_t low_key = UINT64_MAX, high_key = 0;
    std::uint64_t low_sequence = UINT64_MAX, high_sequence = 0;
    void add(const Node& node) noexcept {
      const std::uint64_t key = unsigned_key(node);
      low_key = std::min(low_key, key);
      high_key = std::max(high_key, key);
      low_sequence = std::min(low_sequence, node.sequence_);
      high_sequence = std::max(high_sequence, node.sequence_);
      ++count;
    }
  };
  static std::uint64_t unsigned_key(const Node& node) noexcept {
    return static_cast<std::uint64_t>(node.key_) ^ (std::uint64_t{1} << 63);
  }

  // Of what take_until() returned.
  static Extent extent_of_all(const Node* pile) noexcept {
    Extent all;
    for (const Node* node = pile; node != nullptr; node = node->child_) all.add(*node);
    return all;
  }

  // Of a Pile.
  static Extent extent_of(const Node* pile) noexcept {
    Extent all;
    const auto after = [](const Node* node) { return node != nullptr ? node->child_ : nullptr; };
    const Node* first = pile;
    const Node* second = after(first);
    const Node* third = after(second);
    const Node* fourth = after(third);
    while (first != nullptr) {
      all.add(*first);
      const Node* const fifth = first->next_;
      first = std::exchange(second, std::exchange(third, std::exchange(fourth, fifth)));
    }
    return all;
  }

  // Makes a pile the run. A large one is distributed into up to 256 by the highest bits in which its keys differ, or, where
  // they are equal, its sequences, until all are small. Piles wait in a chain, by `previous` of their first nodes, those of
  // the larger keys in front: so each goes to the beginning of what is sorted already.
  void sort(Node* all) noexcept {
    Node* waiting = nullptr;
    place(all, extent_of_all(all), waiting);
    while (waiting != nullptr) {
      Node* const pile = std::exchange(waiting, waiting->previous_);
      place(pile, extent_of(pile), waiting);
    }
  }

  void place(Node* pile, const Extent& extent, Node*& waiting) noexcept {
    if (extent.count <= few_) {
      insert(pile);
    } else if (extent.low_key != extent.high_key) {
      distribute(pile, extent.count, waiting, extent.low_key, extent.high_key, [](const Node& node) { return unsigned_key(node); });
    } else {
      distribute(pile, extent.count, waiting, extent.low_sequence, extent.high_sequence,
                 [](const Node& node) { return node.sequence_; });
    }
  }

  // (std::bit_width's result has one type in some standard libraries, another in others.)
  static int width_of(std::uint64_t number) noexcept { return static_cast<int>(std::bit_width(number)); }

  // Into at most as many as there are nodes, since each costs something, too.
  template <class Value>
  static void distribute(Node* pile, std::size_t count, Node*& waiting, std::uint64_t low, std::uint64_t high, Value value) noexcept {
    const int digit_bits = std::min(max_digit_bits, width_of(count));
    const int shift = std::max(width_of(high - low) - digit_bits, 0);
    std::array<Pile, std::size_t{1} << max_digit_bits> piles;
    const std::span used = std::span(piles).first(static_cast<std::size_t>((high - low) >> shift) + 1);
    std::fill(used.begin(), used.end(), Pile{});
    while (pile != nullptr) {
      Node& node = *std::exchange(pile, pile->child_);
      ASSAY_UNCHECKED(piles.at(static_cast<std::size_t>((value(node) - low) >> shift))).add(node);
    }
    for (const Pile& part : used) {
      if (part.first == nullptr) continue;
      part.first->previous_ = waiting;
      waiting = part.first;
    }
  }

  // Each to its place at the beginning of the run; all that is in the run already is larger.
  void insert(Node* pile) noexcept {
    Node* const larger = run_first_;
    while (pile != nullptr) {
      Node& node = *std::exchange(pile, pile->child_);
      ASSAY_ASSERT(larger == nullptr || before(node, *larger), broken);
      Node* left = nullptr;
      Node* right = run_first_;
      while (right != larger && before(*right, node)) {
        left = right;
        right = right->next_;
      }
      node.child_ = &node;
      node.previous_ = left;
      node.next_ = right;
      (left != nullptr ? left->next_ : run_first_) = &node;
      (right != nullptr ? right->previous_ : run_last_) = &node;
    }
  }

  void check_owner() const noexcept {
    ASSAY_CHECK(owner_ == audited::current_thread_id(), "a timer was destroyed on another thread than its executor's");
  }

  ASSAY_HOT void remove(Node& node) noexcept {
    ASSAY_CHECK(node.heap_ == this && size_ > 0, "internal: a heap node was removed from another heap");
    if (node.child_ == nullptr) {
      leave_siblings(node);
    } else {
      remove_inner(node);
    }
    node.heap_ = nullptr;
    --size_;
  }

  ASSAY_HOT void leave_siblings(Node& node) noexcept {
    if (node.previous_ == nullptr) {
      ASSAY_ASSERT(root_ == &node, broken);
      root_ = nullptr;
      return;
    }
    ASSAY_ASSERT(root_ != &node, broken);
    (node.previous_->child_ == &node ? node.previous_->child_ : node.previous_->next_) = node.next_;
    if (node.next_ != nullptr) node.next_->previous_ = node.previous_;
    node.next_ = node.previous_ = nullptr;
  }

  // A node of the run, or one that has children.
  [[gnu::noinline]] void remove_inner(Node& node) noexcept {
    Node* const child = std::exchange(node.child_, nullptr);
    if (child == &node) {
      (node.previous_ != nullptr ? node.previous_->next_ : run_first_) = node.next_;
      (node.next_ != nullptr ? node.next_->previous_ : run_last_) = node.previous_;
      node.next_ = node.previous_ = nullptr;
      return;
    }
    Node* const below = meld_siblings(child);
    leave_siblings(node);
    root_ = root_ != nullptr ? meld(root_, below) : below;
  }

  Node* root_ = nullptr;
  Node* run_first_ = nullptr;
  Node* run_last_ = nullptr;
  std::size_t size_ = 0;
  std::size_t few_;
  std::uint64_t next_sequence_ = 0;
  const std::uint64_t owner_ = audited::current_thread_id();
};

}  // namespace assay
