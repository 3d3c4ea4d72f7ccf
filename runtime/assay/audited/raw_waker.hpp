// Purpose: the type-erased waker: a data pointer and four functions, and its two owning faces.
//
//   BasicWaker<AnyThread>    Waker        clone, wake and drop from any thread, at any time, also after the executor is gone
//   BasicWaker<OwnerThread>  LocalWaker   the thread of its executor only; no atomic instruction
//
// Thread rules: those of the functions in the table; the class adds no state of its own.
// Invariants:
//  (1) A BasicWaker owns exactly one reference of the kind that its table counts: clone adds one, wake and drop take one.
//  (2) A moved-from waker is the no-op waker: it may be used, and does nothing.
//  (3) No function in a table throws, polls a future, destroys one, or blocks: a wake only enqueues.
//  (4) Nothing hangs on the no-op table's being the only one: who finds another copy of it only calls functions that do nothing.
#pragma once

#include <utility>

#include "assay/base/attributes.hpp"
#include "assay/audited/effects.hpp"
#include "assay/base/check.hpp"

namespace assay {

struct RawWaker;

// The four duties of a waker. `data` is what RawWaker::data holds.
// SAFETY(W1): erases the type of the data; who makes a RawWaker (from_raw's contract) pairs it with the table that knows it.
struct RawWakerVTable {
  RawWaker (*clone)(void* data) noexcept ASSAY_NONBLOCKING;      // a new reference to the same task
  void (*wake)(void* data) noexcept ASSAY_NONBLOCKING;           // wake the task, and give up the reference
  void (*wake_by_ref)(void* data) noexcept ASSAY_NONBLOCKING;    // wake the task, and keep the reference
  void (*drop)(void* data) noexcept ASSAY_NONBLOCKING;           // give up the reference
};

// SAFETY(W1): the data and its table travel together, and only from_raw() makes a waker of them.
struct RawWaker {
  void* data = nullptr;
  const RawWakerVTable* vtable = nullptr;

  friend bool operator==(const RawWaker&, const RawWaker&) = default;
};

namespace audited {

// The functions of a waker that wakes nobody.
// SAFETY(W4): the data pointer is null and never used.
inline RawWaker noop_clone(void*) noexcept ASSAY_NONBLOCKING;
// SAFETY(W4): the data pointer is null and never used.
inline void noop(void*) noexcept ASSAY_NONBLOCKING {}
inline constexpr RawWakerVTable noop_vtable{noop_clone, noop, noop, noop};

inline RawWaker noop_raw_waker() noexcept { return RawWaker{nullptr, &noop_vtable}; }
// SAFETY(W4): as declared above.
inline RawWaker noop_clone(void*) noexcept ASSAY_NONBLOCKING { return noop_raw_waker(); }

struct AnyThread {};
struct OwnerThread {};

template <class Kind>
class BasicWaker {
 public:
  // The no-op waker.
  BasicWaker() noexcept ASSAY_NONBLOCKING : raw_(noop_raw_waker()) {}

  // Takes over one reference. The table's functions must keep the promises of RawWakerVTable and of this Kind for as
  // long as any waker made from it lives.
  ASSAY_UNSAFE static BasicWaker from_raw(RawWaker raw) noexcept {
    ASSAY_CHECK(raw.vtable != nullptr, "Waker::from_raw was given no vtable");
    ASSAY_ASSERT(raw.vtable->clone != nullptr && raw.vtable->wake != nullptr && raw.vtable->wake_by_ref != nullptr &&
                     raw.vtable->drop != nullptr,
                 "Waker::from_raw was given a vtable with an empty entry");
    return BasicWaker(raw);
  }

  // A waker for any thread also serves on the owner's.
  ASSAY_RUNS_OTHERS BasicWaker(const BasicWaker<AnyThread>& other) noexcept ASSAY_NONBLOCKING
    requires(!std::is_same_v<Kind, AnyThread>)
      : raw_(other.clone_raw()) {}

  ASSAY_RUNS_OTHERS BasicWaker(const BasicWaker& other) noexcept ASSAY_NONBLOCKING : raw_(other.clone_raw()) {}

  BasicWaker(BasicWaker&& other) noexcept ASSAY_NONBLOCKING : raw_(std::exchange(other.raw_, noop_raw_waker())) {}

  ASSAY_RUNS_OTHERS BasicWaker& operator=(BasicWaker other) noexcept ASSAY_NONBLOCKING {
    std::swap(raw_, other.raw_);
    return *this;
  }

  // SAFETY(W2): gives up the one reference of invariant 1, once.
  ASSAY_RUNS_OTHERS ~BasicWaker() ASSAY_NONBLOCKING {
    if (!is_noop()) raw_.vtable->drop(raw_.data);
  }

  // Whether this wakes nobody: made by default, or moved from.
  bool is_noop() const noexcept { return raw_.vtable == &noop_vtable; }

  // Wakes the task: it will be polled at least once after this. Wakes before that poll coalesce. Consumes the waker.
  ASSAY_RUNS_OTHERS void wake() && noexcept ASSAY_NONBLOCKING {
    const RawWaker raw = std::exchange(raw_, noop_raw_waker());
    // SAFETY(W2): the reference left this object in the line above, so it is given up once.
    raw.vtable->wake(raw.data);
  }

  // Wakes the task, and keeps the waker.
  ASSAY_RUNS_OTHERS void wake_by_ref() const noexcept ASSAY_NONBLOCKING {
    // SAFETY(W1): the table belongs to the data, and our reference keeps the data alive.
    raw_.vtable->wake_by_ref(raw_.data);
  }

  // Whether both wake the same task. May say false for two wakers of one task made in different ways.
  bool will_wake(const BasicWaker& other) const noexcept { return raw_ == other.raw_; }

  // What a wake will touch is brought into the cache. A hint, and nothing else.
  // SAFETY(W1): reads nothing, whatever the data are.
  void fetch_ahead() const noexcept ASSAY_NONBLOCKING { __builtin_prefetch(raw_.data); }

  // What is inside; the reference stays here.
  const RawWaker& as_raw() const noexcept ASSAY_LIFETIMEBOUND { return raw_; }

  // Takes the reference out: the caller must give it up through the table.
  ASSAY_UNSAFE RawWaker into_raw() && noexcept { return std::exchange(raw_, noop_raw_waker()); }

 private:
  template <class Other>
  friend class BasicWaker;

  explicit BasicWaker(RawWaker raw) noexcept : raw_(raw) {}

  RawWaker clone_raw() const noexcept {
    // SAFETY(W1): the table belongs to the data, and our reference keeps the data alive.
    const RawWaker copy = raw_.vtable->clone(raw_.data);
    ASSAY_ASSERT(copy.vtable != nullptr, "a waker's clone function returned no vtable");
    return copy;
  }

  RawWaker raw_;
};

// A waker that somebody else owns, for as long as this object lives: it is never dropped.
template <class W>
class Borrowed {
 public:
  // SAFETY(W3): the caller keeps what `raw` refers to valid while this object lives; the reference is not ours, and is not
  // given up, since nothing destroys a union's member.
  ASSAY_UNSAFE explicit Borrowed(RawWaker raw) noexcept : waker_(W::from_raw(raw)) {}
  ~Borrowed() {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  // SAFETY(W3): waker_ is the union's only member, alive from the constructor on.
  const W& get() const noexcept ASSAY_LIFETIMEBOUND { return waker_; }

 private:
  // SAFETY(W3): a union, so that the member's destructor does not run.
  union {
    W waker_;
  };
};

}  // namespace audited

using Waker = audited::BasicWaker<audited::AnyThread>;
using LocalWaker = audited::BasicWaker<audited::OwnerThread>;

}  // namespace assay
