// Purpose: a doubly linked list whose nodes are members of what is listed: no allocation, O(1) unlink from the middle,
//   and a node that is destroyed leaves its list by itself.
// Thread rules: one thread, the one that owns the list.
// Invariants:
//  (1) The links form a ring through the list's head: for each link l in it, l.next->previous == l and l.previous->next == l.
//  (2) A node not in a list has two null links; a node is in at most one list for each Tag.
//  (3) Nodes and lists never move, so a link's address is its node's for life.
//  (4) A list that is destroyed first unlinks what is left in it.
#pragma once

#include <cstddef>

#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"

namespace assay::audited {

class ListLinks {
 public:
  ListLinks() noexcept = default;
  ~ListLinks() {
    if (is_linked()) unlink();
  }
  ListLinks(const ListLinks&) = delete;
  ListLinks& operator=(const ListLinks&) = delete;

  bool is_linked() const noexcept { return next_ != nullptr; }

  // Leaves the list. O(1).
  void unlink() noexcept {
    ASSAY_CHECK(is_linked(), "internal: a list node was unlinked twice");
    ASSAY_ASSERT(next_->previous_ == this && previous_->next_ == this, broken_ring);
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = nullptr;
    previous_ = nullptr;
  }

 private:
  template <class T, class Tag>
  friend class IntrusiveList;

  static constexpr const char* broken_ring =
      "internal: a list's links are broken (was an object moved, freed or overwritten while it waited?)";

  void become_ring() noexcept {
    next_ = this;
    previous_ = this;
  }

  void insert_before(ListLinks& place) noexcept {
    ASSAY_CHECK(!is_linked(), "internal: a list node was linked twice");
    ASSAY_ASSERT(place.previous_ != nullptr && place.previous_->next_ == &place, broken_ring);
    next_ = &place;
    previous_ = place.previous_;
    previous_->next_ = this;
    place.previous_ = this;
  }

  ListLinks* next_ = nullptr;
  ListLinks* previous_ = nullptr;
};

struct DefaultTag {};

// Derive T from ListNode<T> to list it; from ListNode<T, Tag> as well, to list it twice.
template <class T, class Tag = DefaultTag>
class ListNode : public ListLinks {};

template <class T, class Tag = DefaultTag>
class IntrusiveList {
 public:
  IntrusiveList() noexcept { head_.become_ring(); }
  ~IntrusiveList() {
    clear();
    head_.unlink();
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const noexcept {
    ASSAY_ASSERT(head_.is_linked(), ListLinks::broken_ring);
    return head_.next_ == &head_;
  }

  void push_back(T& item) noexcept { links(item).insert_before(head_); }
  void push_front(T& item) noexcept { links(item).insert_before(*head_.next_); }

  // The first item, or null. O(1).
  T* front() const noexcept { return empty() ? nullptr : owner(head_.next_); }

  // Unlinks and returns the first item, or null. O(1).
  T* pop_front() noexcept {
    T* const item = front();
    if (item != nullptr) links(*item).unlink();
    return item;
  }

  // The item after `item`, or null at the end. O(1).
  T* next(const T& item) const noexcept {
    const ListNode<T, Tag>& here = item;
    ASSAY_CHECK(here.is_linked(), "internal: next() of an item that is in no list");
    return here.next_ == &head_ ? nullptr : owner(here.next_);
  }

  // Unlinks all items, which live on. O(n).
  void clear() noexcept {
    while (pop_front() != nullptr) {
    }
  }

  // Moves all items of `other` to the end of this list, in order. O(1).
  void splice_back(IntrusiveList& other) noexcept {
    ASSAY_ASSERT(this != &other, "internal: a list spliced into itself");
    if (other.empty()) return;
    ListLinks* const first = other.head_.next_;
    ListLinks* const last = other.head_.previous_;
    other.head_.become_ring();
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }

  // Walks the ring and aborts where invariant 1 does not hold; returns the number of items. O(n).
  std::size_t check_deep() const noexcept {
    std::size_t count = 0;
    for (const ListLinks* at = &head_;; ++count) {
      ASSAY_CHECK(at->next_ != nullptr && at->next_->previous_ == at, ListLinks::broken_ring);
      at = at->next_;
      if (at == &head_) return count;
    }
  }

 private:
  static ListLinks& links(ListNode<T, Tag>& item) noexcept { return item; }

  // SAFETY(L1): every link in the ring but the head was put there by push_*, as the ListNode<T, Tag> base of a T.
  static T* owner(ListLinks* link) noexcept { return static_cast<T*>(static_cast<ListNode<T, Tag>*>(link)); }

  ListLinks head_;
};

}  // namespace assay::audited
