// Purpose: where other threads meet an executor: one shared word per task, a lock-free stack of tasks that have news,
//   the handshake that wakes a sleeping executor at most once, and what happens when it is gone.
//
// The shared word of a task:   remote count << 2 | IN_INBOX | NOTIFIED
//   NOTIFIED   somebody woke the task since the owner last looked.
//   IN_INBOX   the node is on the stack, or the one thread that set this bit is about to push it.
//   count      Wakers (the any-thread kind) alive. Together they own the task's *group reference*: the owner's plain flag
//              that keeps the task's memory, and one reference on the inbox. The owner adopts it after the poll in which
//              the first Waker was made, and gives it up when it sees count == 0 in drain().
//
// Thread rules: clone, wake_by_ref, drop: any thread that holds a counted reference. drain, prepare_sleep, finish_sleep,
//   close: the owner. release_inbox: any.
// Invariants:
//  (1) Who sets IN_INBOX pushes the node exactly once, or, meeting CLOSED, takes the bit back: a wake while its reference counts, a
//      drop in one step with its reference.
//  (2) The owner clears IN_INBOX and NOTIFIED in one step, after it has read the node's link: from then on the node may be
//      pushed again.
//  (3) After a push, the pusher touches the node and the inbox only if it still holds a counted reference.
//  (4) After CLOSED the owner touches only the nodes that it took, each until it has cleared its bits, and beyond that only
//      where it found the count 0. All others are freed by whoever brings the count to 0, alone.
//  (5) A wake makes the owner look. Who sets NOTIFIED together with IN_INBOX raises after its push. Where IN_INBOX was set for
//      the end of another Waker, that push may be still to come, or have come without a raise: then who sets NOTIFIED raises,
//      and so does the dropping thread if it finds NOTIFIED after its push, before it gives up its reference.
//  (6) A wake's compare-exchange on the word is acq_rel, also when it changes nothing: its release publishes what the waking
//      thread wrote before, and the owner's acquiring clear in drain() receives it before the poll that follows.
//  (7) Whatever follows a release on the word, the stack's head or `sleeping_` is a read-modify-write, which continues its release
//      sequence in any order: who acquires the last value has acquired what all before it released.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/base/attributes.hpp"
#include "assay/base/check.hpp"
#include "assay/audited/effects.hpp"
#include "assay/audited/sync.hpp"

namespace assay::audited {

class Inbox;

// One per task, at the start of its header.
struct RemoteNode {
  explicit RemoteNode(Inbox& owner) noexcept : inbox(&owner) {}

  sync::Atomic<std::uint64_t> word{0};
  sync::Cell<RemoteNode*> next{nullptr};
  Inbox* const inbox;
};

class Inbox {
 public:
  static constexpr std::uint64_t notified = 1;
  static constexpr std::uint64_t in_inbox = 2;
  static constexpr std::uint64_t one = 4;
  static constexpr std::uint64_t max_count = std::uint64_t{1} << 40;

  static constexpr std::uint64_t count_of(std::uint64_t word) noexcept { return word / one; }

  Inbox() noexcept = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // ---- any thread ----------------------------------------------------------------------------------------------

  // One more Waker.
  // SAFETY(I5): relaxed: the caller holds a reference already, so the count cannot reach 0, and nothing is published or received.
  static void clone(RemoteNode& node) noexcept ASSAY_NONBLOCKING {
    const std::uint64_t old = node.word.fetch_add_relaxed(one);
    ASSAY_CHECK(count_of(old) < max_count, "too many Wakers of one task are alive");
  }

  // Tells the owner to poll the task. The caller holds a reference, before and after.
  // SAFETY(I6): acq_rel, also when no bit changes: its release publishes what the caller wrote, and the owner acquires it when
  // it clears the bits (invariant 6). The first load is a guess that the compare-exchange confirms: relaxed. Taking the bits back
  // is a release: whoever frees the node does so after it, and acquires the word.
  ASSAY_RUNS_OTHERS static void wake_by_ref(RemoteNode& node) noexcept ASSAY_NONBLOCKING {
    std::uint64_t old = node.word.load_relaxed();
    while (!node.word.compare_exchange_acq_rel(old, old | notified | in_inbox)) {
    }
    if ((old & notified) != 0) return;  // somebody else's wake is on its way; invariant 6 published our writes
    if ((old & in_inbox) != 0 || node.inbox->push(node)) {
      node.inbox->raise_if_sleeping();
    } else {
      // The executor is gone. Our reference keeps the node, so nobody frees it before we take the bit back.
      node.word.fetch_and_release(~(notified | in_inbox));
    }
  }

  // One Waker less. The last one tells the owner, or, when the owner is gone, frees the node.
  // SAFETY(I5): what each holder did with the node happens before what the last one, or the owner whom it tells, does to end it:
  // giving up a reference releases; the owner acquires when it clears the bits. The message acquires, since who then meets CLOSED
  // may end the node; there message and reference go in one acq_rel step. The first load is a guess that is confirmed: relaxed.
  ASSAY_RUNS_OTHERS static void drop(RemoteNode& node) noexcept ASSAY_NONBLOCKING {
    std::uint64_t old = node.word.load_relaxed();
    for (bool pushed = false;;) {
      ASSAY_CHECK(count_of(old) > 0, "internal: a task's Waker was dropped twice");
      if (count_of(old) == 1 && (old & in_inbox) == 0) {
        // The message comes first, while our reference keeps the node (invariant 3). If the owner reads it before the
        // reference is gone, the loop comes back here. Meeting CLOSED, the message is taken back together with the reference;
        // it need not have been the last: the owner may have made another, for what its thread still holds, before it closed.
        if (!node.word.compare_exchange_acquire(old, old | in_inbox)) continue;
        if (!node.inbox->push(node)) {
          old = node.word.fetch_sub_acq_rel(one | in_inbox);
          return count_of(old) == 1 ? node.inbox->free_orphan(node) : void();
        }
        old |= in_inbox;
        pushed = true;
      }
      if (pushed && (old & notified) != 0) node.inbox->raise_if_sleeping();
      if (node.word.compare_exchange_release(old, old - one)) return;
    }
  }

  // One reference on the inbox less; the last one destroys it.
  // SAFETY(I9): acq_rel: every use of the inbox happens before its end, which comes with the last reference.
  ASSAY_RUNS_OTHERS void release_inbox() noexcept ASSAY_NONBLOCKING {
    const std::uint64_t old = references_.fetch_sub_acq_rel(1);
    ASSAY_CHECK(old > 0, "internal: an executor's core was released twice");
    if (old == 1) ASSAY_UNCHECKED(destroy_inbox());
  }

  // ---- the owner -----------------------------------------------------------------------------------------------

  // SAFETY(I9): relaxed: the owner holds a reference already.
  void retain_inbox() noexcept ASSAY_NONBLOCKING { references_.fetch_add_relaxed(1); }

  // Whether a node waits.
  // SAFETY(I7): relaxed: compared only. A push that is missed now is seen at the next look; prepare_sleep() orders its own.
  bool has_mail() const noexcept { return head_.load_relaxed() != nullptr; }

  // Takes all nodes, oldest first, clears their bits, and calls seen(node, word before). O(nodes).
  template <class Seen>
  void drain(Seen&& seen) noexcept {
    take(nullptr, seen);
  }

  // The owner's last act: as drain(), and every later push is refused.
  template <class Seen>
  void close(Seen&& seen) noexcept {
    take(closed_mark(), seen);
  }

  // Announces sleep. True: block on what raise() wakes. False: there is mail, do not block.
  // SAFETY(I8): acquire: both sides exchange the same variable after (owner: before) they look at the stack, so one of them sees
  // the other: a pusher that comes later finds true and raises; if it came earlier, this exchange acquires its push (invariant 7).
  bool prepare_sleep() noexcept {
    sleeping_.exchange_acquire(1);
    if (!has_mail()) return true;
    finish_sleep();
    return false;
  }

  // Aborts unless each node in the stack is marked so; returns their number. Only the owner takes nodes out. O(nodes).
  // SAFETY(I7): acquire: the links of all that was pushed before are seen.
  std::size_t check_inbox() const noexcept {
    std::size_t count = 0;
    for (const RemoteNode* node = head_.load_acquire(); node != nullptr; node = node->next.get(), ++count) {
      ASSAY_CHECK(node->inbox == this && (node->word.load_relaxed() & in_inbox) != 0,
                  "internal: an inbox holds what is not its own");
    }
    return count;
  }

  // SAFETY(I8): relaxed, but an exchange: a store would break the chain of releases that prepare_sleep() acquires (invariant 7).
  void finish_sleep() noexcept { sleeping_.exchange_relaxed(0); }

 protected:
  ~Inbox() = default;

 private:
  // Makes the owner's blocking call return. Any thread; called at most once per sleep.
  virtual void raise() noexcept ASSAY_NONBLOCKING = 0;
  // The executor is gone and this was the node's last reference: end it, and release_inbox(). Any thread.
  virtual void free_orphan(RemoteNode& node) noexcept ASSAY_NONBLOCKING = 0;
  // The last reference is gone. Any thread.
  virtual void destroy_inbox() noexcept = 0;

  // SAFETY(I2): a mark that no node can have as its address (nodes are aligned); compared, never followed.
  static RemoteNode* closed_mark() noexcept { return reinterpret_cast<RemoteNode*>(std::uintptr_t{1}); }

  // False: the inbox is closed.
  // SAFETY(I7): acquire: a push that meets CLOSED sees the owner's last writes, and may free the node. release: the owner that
  // takes the stack sees the link, and those of all pushes before (invariant 7).
  bool push(RemoteNode& node) noexcept {
    for (;;) {
      RemoteNode* head = head_.load_acquire();
      if (head == closed_mark()) return false;
      ASSAY_ASSERT(head != &node, "internal: a task was put into its executor's inbox twice");
      node.next.set(head);
      if (head_.compare_exchange_release(head, &node)) return true;
    }
  }

  // SAFETY(I8): release, the pusher's half of the handshake in prepare_sleep(): it comes after the push, and publishes it.
  void raise_if_sleeping() noexcept {
    if (sleeping_.exchange_release(0) != 0) raise();
  }

  // SAFETY(I7): acq_rel: acquires the links of all pushes, and releases the owner's writes to whoever meets CLOSED.
  template <class Seen>
  void take(RemoteNode* replacement, Seen& seen) noexcept {
    RemoteNode* newest = head_.exchange_acq_rel(replacement);
    ASSAY_CHECK(newest != closed_mark(), "internal: an inbox was used after it was closed");
    RemoteNode* oldest = nullptr;
    for (RemoteNode* older = nullptr; newest != nullptr; newest = older) {
      older = newest->next.get();
      newest->next.set(oldest);
      oldest = newest;
    }
    while (oldest != nullptr) {
      RemoteNode& node = *oldest;
      oldest = node.next.get();  // before the bits are cleared: invariant 2
      // SAFETY(I6): acq_rel: receives what the waking threads wrote, before the poll that follows (invariant 6).
      const std::uint64_t word = node.word.fetch_and_acq_rel(~(notified | in_inbox));
      ASSAY_CHECK((word & in_inbox) != 0, "internal: a task in an inbox was not marked so");
      seen(node, word);
    }
  }

  sync::Atomic<RemoteNode*> head_{nullptr};
  sync::Atomic<std::uint32_t> sleeping_{0};
  sync::Atomic<std::uint64_t> references_{1};
};

}  // namespace assay::audited
