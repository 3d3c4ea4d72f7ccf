// A priority queue whose nodes are members of what is queued, ordered by key, then by the order of insertion: a pairing heap,
// and before it what gather() has taken out of the heap because its time has come: the run, a sorted list, and behind that piles
// of larger and larger keys, each of which is sorted when the run has come to its end.
// push() O(1); unlink() O(log n) amortised, O(1) in the run, and from a pile what is left to be done by then; gather() of k nodes
// O(k + log n) amortised: each is looked at in 54 passes at most, usually in 7. No allocation, no recursion. One thread, the one
// that owns the heap.
//
// Invariants:
//  (1) A node's key (then sequence) is not smaller than its parent's; the root has neither parent nor siblings.
//  (2) `previous` of a first child is its parent, of any other child its left sibling, of the root null.
//  (3) A node not in a heap has no heap; nodes never move, and leave their heap when destroyed.
//  (4) A heap that is destroyed first lets go of what is left in it.
//  (5) The run is sorted, and before all that is in piles; each pile is before the next, and all of them before all that is in
//      the heap: what is pushed while there is a run belongs behind it and the piles. Without a run there is no pile.
//  (6) `child` of a node of the run, and of no other, is the node itself.
//  (7) A pile is linked by `child`; the piles are chained by `previous` of their first nodes.
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

  // Moves all nodes whose key is not larger than `limit` to the end of the run, or to piles behind it. Taken one by one, each
  // would cost an order among all that are left; and each look at a node that is not in the cache costs as much as all else that
  // is done with it: a small pile that is put in order right before it is used is in the cache then.
  void gather(std::int64_t limit) noexcept ASSAY_NONBLOCKING {
    if (root_ == nullptr || root_->key_ > limit) return;
    place_all();
    Extent extent;
    Node* const taken = take_until(limit, extent);
    place(taken, extent);
    place_some();
  }

  // Walks all nodes and aborts where an invariant does not hold; returns their number. O(n).
  std::size_t check_deep() const noexcept {
    const std::size_t count = check_run() + check_piles() + check_heap();
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

  std::size_t check_piles() const noexcept {
    ASSAY_CHECK(piles_ == nullptr || run_first_ != nullptr, broken);
    std::size_t count = 0;
    const Node* largest = run_last_;  // of the run, then of each pile
    for (const Node* pile = piles_; pile != nullptr; pile = pile->previous_) {
      const Node* const below = largest;
      for (const Node* at = pile; at != nullptr; at = at->child_) {
        ++count;
        ASSAY_CHECK(at->heap_ == this && at->child_ != at && before(*below, *at), broken);
        if (before(*largest, *at)) largest = at;
      }
    }
    ASSAY_CHECK(piles_ == nullptr || root_ == nullptr || before(*largest, *root_), broken);
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

  // Nodes in no order, linked by `child`, the last one put first. `next` is the fourth one after: four chains that can be followed
  // at the same time. One would wait for memory at each step.
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

  // Takes the top of the heap off, all that is not larger than `limit`, and makes a heap of what hung below it. On the way down, a
  // node whose later siblings are still to be visited is kept in a chain by `previous`, and put when they are.
  Node* take_until(std::int64_t limit, Extent& extent) noexcept {
    Pile taken{};
    Node* rest = nullptr;
    Node* postponed = nullptr;
    const auto take = [&](Node& node) {
      extent.add(node);
      taken.add(node);
    };
    for (Node* at = std::exchange(root_, nullptr); at != nullptr;) {
      Node* next = at->next_;
      if (at->key_ > limit) {
        at->next_ = rest;
        rest = at;
      } else if (Node* const child = at->child_; child == nullptr) {
        take(*at);
      } else if (next == nullptr) {
        next = child;
        take(*at);
      } else {
        at->previous_ = std::exchange(postponed, at);
        next = child;
      }
      if (next == nullptr && postponed != nullptr) {
        Node& above = *std::exchange(postponed, postponed->previous_);
        next = above.next_;
        take(above);
      }
      at = next;
    }
    root_ = meld_siblings(rest);
    return taken.first;
  }

  // Calls visit(Node&), which may put the node elsewhere, for each of a pile.
  template <class Visit>
  static void for_each(Node* pile, Visit&& visit) noexcept {
    const auto after = [](Node* node) { return node != nullptr ? node->child_ : nullptr; };
    Node* first = pile;
    Node* second = after(first);
    Node* third = after(second);
    Node* fourth = after(third);
    while (first != nullptr) {
      Node* const fifth = first->next_;
      visit(*first);
      first = std::exchange(second, std::exchange(third, std::exchange(fourth, fifth)));
    }
  }

  void place_first() noexcept {
    Node* const pile = std::exchange(piles_, piles_->previous_);
    Extent extent;
    for_each(pile, [&](const Node& node) { extent.add(node); });
    place(pile, extent);
  }
  // Until there is a run, if there are piles.
  void place_some() noexcept {
    while (run_first_ == nullptr && piles_ != nullptr) place_first();
  }
  void place_all() noexcept {
    while (piles_ != nullptr) place_first();
  }

  // Puts a pile, which is before all others, at the end of the run. A large one is instead distributed into up to 256 by the
  // highest bits in which its keys differ, or, where they are equal, its sequences.
  void place(Node* pile, const Extent& extent) noexcept {
    if (extent.count <= few_) {
      insert(pile);
    } else if (extent.low_key != extent.high_key) {
      distribute(pile, extent.count, extent.low_key, extent.high_key, [](const Node& node) { return unsigned_key(node); });
    } else {
      distribute(pile, extent.count, extent.low_sequence, extent.high_sequence, [](const Node& node) { return node.sequence_; });
    }
  }

  // (std::bit_width's result has one type in some standard libraries, another in others.)
  static int width_of(std::uint64_t number) noexcept { return static_cast<int>(std::bit_width(number)); }

  // Into at most as many as there are nodes, since each costs something, too.
  template <class Value>
  void distribute(Node* pile, std::size_t count, std::uint64_t low, std::uint64_t high, Value value) noexcept {
    const int digit_bits = std::min(max_digit_bits, width_of(count));
    const int shift = std::max(width_of(high - low) - digit_bits, 0);
    std::array<Pile, std::size_t{1} << max_digit_bits> piles;
    const std::span used = std::span(piles).first(static_cast<std::size_t>((high - low) >> shift) + 1);
    std::fill(used.begin(), used.end(), Pile{});
    for_each(pile, [&](Node& node) { ASSAY_UNCHECKED(piles.at(static_cast<std::size_t>((value(node) - low) >> shift))).add(node); });
    for (std::size_t at = used.size(); at-- > 0;) {  // the smallest keys come to lie in front
      Node* const first = used.subspan(at).front().first;
      if (first == nullptr) continue;
      first->previous_ = piles_;
      piles_ = first;
    }
  }

  // Each to its place at the end of the run; all that is in the run already is smaller.
  void insert(Node* pile) noexcept {
    Node* const smaller = run_last_;
    while (pile != nullptr) {
      Node& node = *std::exchange(pile, pile->child_);
      ASSAY_ASSERT(smaller == nullptr || before(*smaller, node), broken);
      Node* left = run_last_;
      Node* right = nullptr;
      while (left != smaller && before(node, *left)) {
        right = left;
        left = left->previous_;
      }
      if constexpr (requires { node.item_->fetch_ahead(); }) node.item_->fetch_ahead();
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
    if (piles_ != nullptr && node.child_ != &node) place_all();  // it may be in one
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
      return place_some();
    }
    Node* const below = meld_siblings(child);
    leave_siblings(node);
    root_ = root_ != nullptr ? meld(root_, below) : below;
  }

  Node* root_ = nullptr;
  Node* run_first_ = nullptr;
  Node* run_last_ = nullptr;
  Node* piles_ = nullptr;  // the first
  std::size_t size_ = 0;
  std::size_t few_;
  std::uint64_t next_sequence_ = 0;
  const std::uint64_t owner_ = audited::current_thread_id();
};

}  // namespace assay
