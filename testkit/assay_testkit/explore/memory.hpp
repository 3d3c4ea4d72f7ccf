// The memory model of the interleaving explorer: what an atomic operation may read, and what then happens before what.
//
// Each location keeps every value that was ever stored to it, in modification order, which is the order in which the
// explorer executes the stores. A load may read any of them that coherence does not hide from it; a read-modify-write
// reads the last. A message carries the clock of what its release publishes (C++20: only read-modify-writes continue a
// release sequence). Sequentially consistent operations on one location are ordered as they are executed: such a load
// reads nothing older than what an earlier one wrote or read there; and since one execution is one total order, so are
// they all.
//
// What can't be seen here: executions in which program order, reads-from, modification order and the order of seq_cst
// operations form a cycle (load buffering; two stores that overtake each other in two threads; docs/exploring.md).
// There are no fences: ThreadSanitizer does not know them either.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace assay::testkit::explorer {

inline constexpr unsigned max_threads = 8;
inline constexpr std::uint32_t none = ~std::uint32_t{0};

// How far each thread has come, as someone knows it. Counts are of a thread's events, from 1.
struct Clock {
  std::array<std::uint32_t, max_threads> at{};

  void join(const Clock& other) {
    for (unsigned thread = 0; thread != max_threads; ++thread) at[thread] = std::max(at[thread], other.at[thread]);
  }
  bool covers(unsigned thread, std::uint32_t index) const { return at[thread] >= index; }
};

enum class Order : std::uint8_t { relaxed, acquire, release, acq_rel, seq_cst };

constexpr bool acquires(Order order) { return order == Order::acquire || order >= Order::acq_rel; }
constexpr bool releases(Order order) { return order >= Order::release; }

// Whose rules: ISO C++20's, or those that Relacy's full search follows, with which the explorer is compared. Relacy
// lets a load read the last value or the one before it; a compare-exchange fail on the last only; a thread's own stores
// continue its release sequence, as C++11 had it; and a seq_cst load be bound by seq_cst stores, not by other such
// loads.
enum class Dialect : std::uint8_t { cpp20, relacy };

enum class Kind : std::uint8_t {
  start,
  load,
  store,
  rmw,
  cas,
  lock,
  unlock,
  wait,
  relock,
  notify_one,
  notify_all,
  join,
  yield
};

// What a thread is about to do.
struct Operation {
  Kind kind = Kind::start;
  Order order = Order::relaxed;
  Order failure = Order::relaxed;                                   // of a compare-exchange
  bool may_fail_spuriously = false;                                 // likewise
  std::uint32_t object = none;                                      // location, mutex, condition, or thread (join)
  std::uint32_t mutex = none;                                       // of a wait
  std::uint64_t operand = 0;                                        // what is stored
  std::uint64_t expected = 0;                                       // by a compare-exchange
  std::uint64_t (*change)(std::uint64_t, std::uint64_t) = nullptr;  // of a read-modify-write: (old, operand) -> new

  bool is_atomic() const { return kind >= Kind::load && kind <= Kind::cas; }
  bool may_write() const { return kind >= Kind::store && kind <= Kind::cas; }
  bool is_acquisition() const { return kind == Kind::lock || kind == Kind::relock; }
};

// A thread's alternatives at an operation. Of a load: the place in modification order of what it reads. Of a
// compare-exchange: the same, with `failed` where it does not write. Of notify_one: the thread that it wakes. Otherwise
// 0.
inline constexpr std::uint32_t failed = std::uint32_t{1} << 31;

inline bool writes(const Operation& operation, std::uint32_t choice) {
  return operation.kind == Kind::store || operation.kind == Kind::rmw ||
         (operation.kind == Kind::cas && (choice & failed) == 0);
}

inline Order order_of(const Operation& operation, std::uint32_t choice) {
  return operation.kind == Kind::cas && !writes(operation, choice) ? operation.failure : operation.order;
}

// What was done.
struct Event {
  Operation operation;
  std::uint32_t choice = 0;
  std::uint32_t thread = 0;
  std::uint32_t index = 0;     // the how-manieth of its thread
  std::uint32_t read = none;   // the message that was read
  std::uint32_t wrote = none;  // the message that was written
  bool seq_cst = false;
  std::uint64_t before = 0;  // what was read, and what was written
  std::uint64_t after = 0;
  Clock order;  // the events that have to come before this one in every equivalent execution, and itself
};

struct Message {
  std::uint64_t value = 0;
  std::uint32_t event = none;  // which wrote it; none: the initial value
  std::uint32_t writer = 0;    // thread
  bool seq_cst = false;
  Clock released;  // what whoever acquires it learns
};

// One atomic object.
struct Location {
  struct Access {
    std::uint32_t index = 0;    // event of its thread
    std::uint32_t message = 0;  // read or written
  };

  std::vector<Message> messages;
  std::array<std::vector<Access>, max_threads> accesses;
  std::vector<std::uint32_t> events;  // in the order of their execution
  std::uint32_t seq_cst_floor = 0;
  std::uint32_t creator = 0;
  std::uint32_t created = 0;  // when, by its clock
  bool is_dead = false;

  void begin(std::uint64_t value, std::uint32_t thread, std::uint32_t when) {
    messages.assign(1, Message{value, none, thread, false, {}});
    for (std::vector<Access>& list : accesses) list.clear();
    events.clear();
    seq_cst_floor = 0;
    creator = thread;
    created = when;
    is_dead = false;
  }

  std::uint32_t last() const { return static_cast<std::uint32_t>(messages.size() - 1); }

  // The oldest message that a thread which knows `known` may still read: none older than what it has seen, or knows
  // others to have seen, there.
  std::uint32_t floor(const Clock& known, Order order, Dialect dialect) const {
    std::uint32_t oldest = 0;
    for (unsigned thread = 0; thread != max_threads; ++thread) {
      const std::vector<Access>& list = accesses[thread];
      for (auto access = list.rbegin(); access != list.rend(); ++access) {
        if (!known.covers(thread, access->index)) continue;
        oldest = std::max(oldest, access->message);
        break;
      }
    }
    if (dialect == Dialect::relacy) {
      if (last() > 0) oldest = std::max(oldest, last() - 1);
      if (order == Order::seq_cst && messages.back().seq_cst) oldest = last();
      return oldest;
    }
    return order == Order::seq_cst ? std::max(oldest, seq_cst_floor) : oldest;
  }

  // All that a thread may do here. The newest first: the first execution that is explored is one without surprises.
  void choices(const Operation& operation, const Clock& known, Dialect dialect, bool spurious,
               std::vector<std::uint32_t>& into) const {
    if (operation.kind == Kind::load) {
      const std::uint32_t oldest = floor(known, operation.order, dialect);
      for (std::uint32_t message = last() + 1; message-- > oldest;) into.push_back(message);
    } else if (operation.kind == Kind::cas) {
      if (messages.back().value == operation.expected) into.push_back(last());
      const std::uint32_t oldest = dialect == Dialect::relacy ? last() : floor(known, operation.failure, dialect);
      for (std::uint32_t message = last() + 1; message-- > oldest;) {
        if (messages[message].value != operation.expected || (spurious && operation.may_fail_spuriously))
          into.push_back(message | failed);
      }
    } else {
      into.push_back(0);
    }
  }

  // Does it. `known` is what the thread knows, this event included; `position` is the event's in the execution.
  void execute(Event& event, std::uint32_t position, Clock& known, Dialect dialect) {
    const Operation& operation = event.operation;
    const bool writes = explorer::writes(operation, event.choice);
    const Order order = order_of(operation, event.choice);
    event.seq_cst = order == Order::seq_cst;
    if (operation.kind != Kind::store) {
      event.read = operation.kind == Kind::rmw ? last() : event.choice & ~failed;
      const Message& message = messages[event.read];
      event.before = message.value;
      if (acquires(order)) known.join(message.released);
    }
    if (writes) {
      Message message;
      message.value = event.after =
          operation.kind == Kind::rmw ? operation.change(event.before, operation.operand) : operation.operand;
      message.event = position;
      message.writer = event.thread;
      message.seq_cst = event.seq_cst;
      const bool continues =
          operation.kind != Kind::store || (dialect == Dialect::relacy && messages.back().writer == event.thread);
      if (continues) message.released = messages.back().released;
      if (releases(order)) message.released.join(known);
      messages.push_back(message);
      event.wrote = last();
    }
    const std::uint32_t seen = writes ? event.wrote : event.read;
    accesses[event.thread].push_back({event.index, seen});
    if (event.seq_cst) seq_cst_floor = std::max(seq_cst_floor, seen);
    events.push_back(position);
  }
};

}  // namespace assay::testkit::explorer
