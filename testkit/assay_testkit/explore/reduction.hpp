// Which executions the interleaving explorer runs: dynamic partial-order reduction.
//
// Two executions are the same when one becomes the other by swapping neighbours that do not depend on each other. What
// depends: two operations of one thread; two stores to one location; a load and the store that it reads from; seq_cst
// operations on one location; a thread that takes a mutex and whoever has it; a notification and whoever waits. A load
// and a store that it does NOT read from do not depend on each other: whatever it reads, it may read it after the store
// as well. So the explored classes are the different (reads-from, modification order) of the program, and hardly more.
//
// Each execution is a path of nodes: which thread went on, and by which of its alternatives. After it, each pair of
// events that depend and could have come in the other order (a reversible race) makes the node before the first of them
// try a thread with which the other order begins. Alternatives that were explored sleep in the rest of their node:
// executions that begin with one of them are known, until something is done on which it depends. Sources: Flanagan and
// Godefroid 2005; Godefroid 1996 (sleep sets); Abdulla, Aronis, Jonsson, Sagonas 2014 (source sets).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "assay_testkit/explore/memory.hpp"

namespace assay::testkit::explorer {

using Threads = std::uint32_t;  // a set of them, a bit each
constexpr Threads bit(std::uint32_t thread) { return Threads{1} << thread; }

// One alternative of a thread at its next operation, which need not be explored.
struct Sleeper {
  Operation operation;
  std::uint32_t choice = 0;
  std::uint32_t thread = 0;
};

inline std::uint32_t mutex_of(const Operation& operation) {
  if (operation.kind == Kind::lock || operation.kind == Kind::unlock) return operation.object;
  return operation.kind == Kind::wait || operation.kind == Kind::relock ? operation.mutex : none;
}

inline std::uint32_t condition_of(const Operation& operation, std::uint32_t choice) {
  const bool is_spurious = operation.kind == Kind::relock && choice == failed;
  const bool is_one =
      operation.kind == Kind::wait || operation.kind == Kind::notify_one || operation.kind == Kind::notify_all;
  return is_one || is_spurious ? operation.object : none;
}

// Whether what was done changes what a sleeping alternative of another thread would do, or whether it can be done.
inline bool wakes(const Event& event, const Sleeper& sleeper) {
  const Operation& a = event.operation;
  const Operation& b = sleeper.operation;
  if (a.is_atomic() && b.is_atomic()) {
    if (a.object != b.object) return false;
    return (event.wrote != none && writes(b, sleeper.choice)) ||
           (event.seq_cst && order_of(b, sleeper.choice) == Order::seq_cst);
  }
  if (a.is_atomic() || b.is_atomic()) return false;
  return (mutex_of(a) != none && mutex_of(a) == mutex_of(b)) ||
         (condition_of(a, event.choice) != none && condition_of(a, event.choice) == condition_of(b, sleeper.choice));
}

// A point at which a thread was chosen.
struct Node {
  std::vector<Sleeper> sleep;  // on arrival, and since then what was explored from here
  std::array<std::vector<std::uint32_t>, max_threads> choices;  // of each enabled thread
  std::array<Operation, max_threads> operations;
  Threads enabled = 0;
  Threads wanted = 0;        // threads to be tried
  Threads tried = 0;         // all of whose alternatives are explored
  std::uint32_t thread = 0;  // now
  std::uint32_t choice = 0;  // now, among choices[thread]
  std::uint32_t preemptions = 0;

  bool sleeps(std::uint32_t of, std::uint32_t alternative) const {
    for (const Sleeper& sleeper : sleep) {
      if (sleeper.thread == of && sleeper.choice == alternative) return true;
    }
    return false;
  }

  // The first alternative of `of`, from `from` on, that is not asleep; `none` if all are.
  std::uint32_t awake(std::uint32_t of, std::uint32_t from = 0) const {
    for (std::uint32_t at = from; at < choices[of].size(); ++at) {
      if (!sleeps(of, choices[of][at])) return at;
    }
    return none;
  }

  // Goes to the next alternative that is wanted. False: there is none left.
  bool advance() {
    sleep.push_back({operations[thread], choices[thread][choice], thread});
    choice = awake(thread, choice + 1);
    while (choice == none) {
      tried |= bit(thread);
      const Threads left = wanted & enabled & ~tried;
      if (left == 0) return false;
      thread = static_cast<std::uint32_t>(__builtin_ctz(left));
      choice = awake(thread);
    }
    return true;
  }
};

// The path, and how far it is in use: nodes are kept for the memory in them.
class Path {
 public:
  std::uint32_t size() const { return size_; }
  Node& operator[](std::uint32_t at) { return nodes_[at]; }
  void pop() { --size_; }

  Node& push() {
    if (size_ == nodes_.size()) nodes_.emplace_back();
    Node& node = nodes_[size_++];
    node.sleep.clear();
    for (std::vector<std::uint32_t>& list : node.choices) list.clear();
    node.enabled = node.wanted = node.tried = 0;
    node.thread = node.choice = node.preemptions = 0;
    return node;
  }

  // To the next execution. False: all are done.
  bool advance() {
    while (size_ != 0 && !nodes_[size_ - 1].advance()) --size_;
    return size_ != 0;
  }

 private:
  std::vector<Node> nodes_;
  std::uint32_t size_ = 0;
};

// Finds the reversible races of each new event and asks for their other order.
class Races {
 public:
  Races(Path& path, const std::vector<Event>& events) : path_(path), events_(events) {}

  // An atomic operation that was just done as the last of `events`. Returns what it depends on, joined to what its
  // thread knew.
  Clock of_atomic(const Location& location, Clock before, bool look) {
    const auto position = static_cast<std::uint32_t>(events_.size() - 1);
    const Event& now = events_[position];
    for (auto at = location.events.rbegin(); at != location.events.rend(); ++at) {
      if (*at == position) continue;
      const Event& then = events_[*at];
      const bool both_seq_cst = now.seq_cst && then.seq_cst;
      const bool races = now.wrote != none || (then.wrote != none && now.operation.may_write()) || both_seq_cst;
      const bool depends = then.wrote != none && (now.wrote != none || now.read == then.wrote);
      if (look && races && !before.covers(then.thread, then.index))
        reverse(*at, now.thread, now.choice, before, position);
      if (depends || both_seq_cst) before.join(then.order);
    }
    return before;
  }

  // Taking a mutex: done as event `position`, or (at the end of an execution) only tried.
  Clock of_acquisition(const std::vector<std::uint32_t>& mutex, std::uint32_t thread, Clock before,
                       std::uint32_t position, bool look) {
    const Event* release = nullptr;
    for (auto at = mutex.rbegin(); at != mutex.rend(); ++at) {
      if (*at == position) continue;
      const Event& then = events_[*at];
      if (!then.operation.is_acquisition()) {
        release = &then;
        continue;
      }
      if (look && then.thread != thread && !before.covers(then.thread, then.index))
        reverse(*at, thread, 0, before, position);
      if (release != nullptr) before.join(release->order);
      break;  // earlier owners come before this one
    }
    return before;
  }

  // A wait or a notification.
  Clock of_condition(const std::vector<std::uint32_t>& condition, Clock before, bool look) {
    const auto position = static_cast<std::uint32_t>(events_.size() - 1);
    const Event& now = events_[position];
    for (auto at = condition.rbegin(); at != condition.rend(); ++at) {
      if (*at == position) continue;
      const Event& then = events_[*at];
      if (now.operation.kind == Kind::wait && then.operation.kind == Kind::wait) continue;
      if (look && !before.covers(then.thread, then.index)) reverse(*at, now.thread, now.choice, before, position);
      before.join(then.order);
    }
    return before;
  }

 private:
  // Event `now` (of `thread`, by `choice`, after what `before` covers) could have come before event `then`. What has to
  // come first: whatever was done since and does not depend on `then`. One of the threads with which that can begin
  // must be tried there.
  void reverse(std::uint32_t then, std::uint32_t thread, std::uint32_t choice, const Clock& before, std::uint32_t now) {
    Node& node = path_[then];
    const Event& first = events_[then];
    Threads seen = 0;
    Threads initial = 0;
    std::array<const Event*, max_threads> begins{};
    for (std::uint32_t at = then + 1; at <= now; ++at) {
      const bool is_now = at == now;
      const std::uint32_t of = is_now ? thread : events_[at].thread;
      if ((seen & bit(of)) != 0) continue;
      const Clock& order = is_now ? before : events_[at].order;
      if (!is_now && order.covers(first.thread, first.index)) continue;
      bool begins_it = true;
      for (Threads rest = seen; rest != 0; rest &= rest - 1) {
        const auto other = static_cast<unsigned>(__builtin_ctz(rest));
        if (order.covers(other, begins[other]->index)) begins_it = false;
      }
      seen |= bit(of);
      if (!is_now) begins[of] = &events_[at];
      if (!begins_it) continue;
      if ((node.wanted & bit(of)) != 0 || node.sleeps(of, is_now ? choice : events_[at].choice)) return;
      initial |= bit(of);
    }
    const Threads possible = initial & node.enabled;
    if ((possible & bit(thread)) != 0) {
      node.wanted |= bit(thread);
    } else {
      node.wanted |= possible != 0 ? possible & (~possible + 1) : node.enabled;
    }
  }

  Path& path_;
  const std::vector<Event>& events_;
};

}  // namespace assay::testkit::explorer
