// The interleaving explorer's engine: runs the threads of a model as fibers, one operation at a time, in every order
// and with every value that matters (memory.hpp: what a load may read; reduction.hpp: which executions are the same).
// Thread rules: one exploration is one thread of the operating system; several may run in several threads.
// Invariants:
//  (1) All nondeterminism of an execution is in its path: the same choices make the same execution. A model must not
//      depend on addresses, on time, or on what it did in an earlier execution.
//  (2) Between two operations a thread does what no other thread can notice, or a race is reported. That is why plain
//      memory (cells, construction, destruction) needs no choice of its own: any order of what is not ordered by
//      happens-before is reported in any of its executions.
//  (3) When an execution ends early its fibers are given up as they are (fiber.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assay_testkit/explore/arena.hpp"
#include "assay_testkit/explore/fiber.hpp"
#include "assay_testkit/explore/memory.hpp"
#include "assay_testkit/explore/reduction.hpp"

namespace assay::testkit {

// What is explored, and how far.
struct ExploreOptions {
  enum class Search : std::uint8_t {
    reduced,  // every execution that differs from the others, and hardly any twice
    plain,    // every execution: to check the former
    random,   // `executions` of them, by chance
    pct,  // likewise, by priorities that change `changes` times: finds bugs of few ordering constraints with a known
          // probability
  };

  Search search = Search::reduced;
  std::uint64_t executions = 0;     // at most; 0: no bound (random and pct: 10,000)
  std::uint32_t preemptions = ~0U;  // at most, in one execution; a bound makes the search plain
  std::uint32_t steps = 10'000;     // of one execution; more is a livelock
  std::uint32_t spurious = 0;       // failures of weak compare-exchanges, and wake-ups of waits, a thread
  std::uint64_t seed = 1;           // of random and pct
  std::uint32_t changes = 3;        // pct
  bool locks_order = true;          // false: a mutex excludes, but shows nobody what was written under it; what for must be seen
  std::string replay{};             // one execution, by the choices that a report has printed
  explorer::Dialect dialect = explorer::Dialect::cpp20;
};

namespace explorer {

struct Thread {
  enum class State : std::uint8_t { ready, finished };

  struct Seen {  // a load since the thread yielded last
    std::uint32_t location = 0;
    std::uint32_t message = 0;
  };

  Fiber fiber;
  void (*run)(void*) = nullptr;      // what it does, with ...
  void (*destroy)(void*) = nullptr;  // (and how that ends)
  void* captured = nullptr;          // ... what it has captured; null in the first thread
  Operation next;
  std::uint64_t result = 0;
  bool succeeded = false;
  std::uint32_t id = 0;
  std::uint32_t count = 0;     // of its events
  std::uint32_t spurious = 0;  // how often
  State state = State::ready;
  bool is_notified = false;  // at a relock
  bool has_acted = false;    // since it yielded last: something else than loads
  std::vector<Seen> seen;
  std::vector<std::uint32_t> newest;  // of the locations in `seen`, when it was let through the last yield
  Clock known;                        // what happens before its next event
  Clock order;                        // what has to come before it in every equivalent execution
  std::uint32_t priority = 0;         // pct
};

struct Mutex {
  std::uint32_t owner = none;
  Clock released;
  std::vector<std::uint32_t> events;
};

struct Condition {
  Threads waiters = 0;
  std::vector<std::uint32_t> events;
};

// Plain memory.
struct Plain {
  std::uint32_t writer = none;
  std::uint32_t written = 0;
  std::array<std::uint32_t, max_threads> reads{};
  bool is_dead = false;

  void begin(std::uint32_t thread, std::uint32_t now) {
    writer = thread;
    written = now;
    reads.fill(0);
    is_dead = false;
  }
};

class Engine {
 public:
  Engine(std::function<void()> body, const ExploreOptions& options)
      : body_(std::move(body)),
        options_(options),
        races_(path_, events_),
        seed_(options.seed * 0x9e3779b97f4a7c15U ^ 0xd1b54a32d192ed03U) {
    if (options_.preemptions != ~0U && options_.search == ExploreOptions::Search::reduced)
      options_.search = ExploreOptions::Search::plain;
    is_random_ = options_.search == ExploreOptions::Search::random || options_.search == ExploreOptions::Search::pct;
    is_reduced_ = options_.search == ExploreOptions::Search::reduced;
    if (is_random_ && options_.executions == 0) options_.executions = 10'000;
    is_replay_ = !options_.replay.empty();
    if (is_replay_ && !read_choices(options_.replay)) failure = "the choices to replay are not what a report prints";
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  static Engine*& current() {
    static thread_local Engine* engine = nullptr;
    return engine;
  }
  // The engine, when code of its model runs on this thread; null while the engine itself works.
  static Engine* modelling() {
    Engine* const engine = current();
    return engine != nullptr && engine->running_ != nullptr && engine->outside_ == 0 ? engine : nullptr;
  }
  // While one lives, memory is not the model's. A model says it where it keeps something beyond its execution.
  class Outside {
   public:
    explicit Outside(Engine& engine) : engine_(engine) { ++engine_.outside_; }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
    ~Outside() { --engine_.outside_; }

   private:
    Engine& engine_;
  };

  // For modelled objects, which work inside an exploration only.
  static Engine& here() {
    if (current() == nullptr || current()->running_ == nullptr) {
      std::fputs("explorer: a modelled object is used outside explore()\n", stderr);
      std::abort();
    }
    return *current();
  }

  // Explores. Afterwards: the members below.
  void run() {
    if (!failure.empty()) return;
    Engine* const outer = std::exchange(current(), this);
    do {
      one();
      if (!failure.empty() || is_replay_) break;
      if (options_.executions != 0 && executions + pruned >= options_.executions) {
        complete = false;
        break;
      }
    } while (is_random_ || path_.advance());
    complete = complete && failure.empty() && !is_random_ && !is_replay_ && options_.preemptions == ~0U;
    current() = outer;
  }

  std::uint64_t executions = 0;  // that came to their end
  std::uint64_t pruned = 0;      // given up: what would follow is known, or a loop that waits made no progress
  std::uint64_t operations = 0;
  bool complete = true;
  std::string failure{};
  std::string choices{};  // of the execution that failed
  const std::vector<Event>& events() const { return events_; }

  // ---- for modelled objects, on the fiber of a thread

  // Never return: what lives on the fiber is given up, so nothing here may own memory when it is left.
  [[noreturn]] void fail(const char* what) {
    const Outside outside(*this);
    note(*running_, what);
    leave();
    std::abort();
  }
  [[noreturn]] void fail(std::string&& what) {
    const Outside outside(*this);
    note(*running_, std::move(what));
    leave();
    std::abort();
  }

  std::uint64_t perform(const Operation& operation) {
    const Outside outside(*this);
    Thread& self = *running_;
    self.next = operation;
    go_on();
    return self.result;
  }
  bool succeeded() const { return running_->succeeded; }

  std::uint32_t make_location(std::uint64_t value) {
    const Outside outside(*this);
    const std::uint32_t id = locations_in_use_++;
    if (id == locations_.size()) locations_.emplace_back(std::make_unique<Location>());
    locations_[id]->begin(value, running_->id, now());
    return id;
  }
  void end_location(std::uint32_t id) {
    const Outside outside(*this);
    Location& location = *locations_[id];
    if (location.is_dead) fail("an atomic is destroyed twice");
    location.is_dead = true;
    if (!knows(location.creator, location.created)) fail("an atomic is destroyed in a race with its construction");
    for (std::uint32_t thread = 0; thread != threads_in_use_; ++thread) {
      const auto& list = location.accesses[thread];
      if (!list.empty() && !knows(thread, list.back().index))
        fail("an atomic is destroyed in a race with thread " + name_of(thread) + "'s use of it");
    }
  }

  std::uint32_t make_plain() {
    const Outside outside(*this);
    const std::uint32_t id = plains_in_use_++;
    if (id == plains_.size()) plains_.emplace_back();
    plains_[id].begin(running_->id, now());
    return id;
  }
  void read_plain(std::uint32_t id) {
    const Outside outside(*this);
    Plain& plain = plains_[id];
    if (plain.is_dead) fail("a cell is read after its end");
    if (!knows(plain.writer, plain.written))
      fail("data race: a cell is read while thread " + name_of(plain.writer) + " writes it");
    plain.reads[running_->id] = now();
  }
  void write_plain(std::uint32_t id, const char* what = "written") {
    const Outside outside(*this);
    Plain& plain = plains_[id];
    if (plain.is_dead) fail(std::string("a cell is ") + what + " after its end");
    if (!knows(plain.writer, plain.written))
      fail(std::string("data race: a cell is ") + what + " while thread " + name_of(plain.writer) + " writes it");
    for (std::uint32_t thread = 0; thread != threads_in_use_; ++thread) {
      if (plain.reads[thread] != 0 && !knows(thread, plain.reads[thread]))
        fail(std::string("data race: a cell is ") + what + " while thread " + name_of(thread) + " reads it");
    }
    plain.writer = running_->id;
    plain.written = now();
  }
  void end_plain(std::uint32_t id) {
    const Outside outside(*this);
    write_plain(id, "destroyed");
    plains_[id].is_dead = true;
  }

  std::uint32_t make_mutex() {
    const Outside outside(*this);
    const std::uint32_t id = mutexes_in_use_++;
    if (id == mutexes_.size()) mutexes_.emplace_back();
    mutexes_[id].owner = none;
    mutexes_[id].released = Clock{};
    mutexes_[id].events.clear();
    return id;
  }
  void end_mutex(std::uint32_t id) {
    const Outside outside(*this);
    if (mutexes_[id].owner != none)
      fail("a mutex is destroyed while thread " + name_of(mutexes_[id].owner) + " has it");
  }
  std::uint32_t make_condition() {
    const Outside outside(*this);
    const std::uint32_t id = conditions_in_use_++;
    if (id == conditions_.size()) conditions_.emplace_back();
    conditions_[id].waiters = 0;
    conditions_[id].events.clear();
    return id;
  }
  void end_condition(std::uint32_t id) {
    const Outside outside(*this);
    if (conditions_[id].waiters != 0) fail("a condition is destroyed while someone waits for it");
  }
  std::uint32_t thread() const { return running_->id; }
  bool owns(std::uint32_t mutex) const { return mutexes_[mutex].owner == running_->id; }

  template <class Body>
  std::uint32_t spawn(Body body) {
    // In the model's memory: an execution that is given up is forgotten with what its threads have captured, and nothing of it is
    // destroyed in another one.
    Body* const captured = ::new (allocate(sizeof(Body), alignof(Body))) Body(std::move(body));
    const Outside outside(*this);
    if (threads_in_use_ == max_threads)
      fail("too many threads: the explorer has room for " + std::to_string(max_threads));
    const std::uint32_t id = begin_thread();
    Thread& child = *threads_[id];
    child.run = [](void* body_of) { (*static_cast<Body*>(body_of))(); };
    child.destroy = [](void* body_of) { std::destroy_at(static_cast<Body*>(body_of)); };
    child.captured = captured;
    running_->known.at[running_->id] = running_->order.at[running_->id] = ++running_->count;
    child.known = running_->known;
    child.order = running_->order;
    return id;
  }

  // Memory of the model. `release` says whether it was.
  void* allocate(std::size_t size, std::size_t alignment) {
    const Outside outside(*this);
    return arena_.take(size, alignment);
  }
  bool release(void* place) {
    if (!arena_.has(place)) return false;
    const Outside outside(*this);
    if (running_ != nullptr && !arena_.give_back(place)) fail("memory is freed twice, or not where it begins");
    return true;
  }

  static std::string name_of(std::uint32_t thread) { return std::string(1, static_cast<char>('A' + thread)); }

 private:
  // ---- one execution

  void one() {
    running_ = nullptr;
    threads_in_use_ = locations_in_use_ = plains_in_use_ = mutexes_in_use_ = conditions_in_use_ = 0;
    events_.clear();
    arena_.reset();
    outside_ = 1;
    carried_.clear();
    choices.clear();
    is_pruned_ = false;
    known_nodes_ = is_random_ || is_replay_ ? 0 : path_.size();
    next_pick_ = 0;
    if (is_random_) prepare_random();
    begin_thread();
    Thread* const first = choose();
    if (first != nullptr) {
      running_ = first;
      host_.switch_to(first->fiber);
    }
    running_ = nullptr;
    if (failure.empty() && !is_pruned_) {
      if (const std::size_t leaks = arena_.leaks(); leaks != 0)
        failure = "a leak: " + std::to_string(leaks) + (leaks == 1 ? " block" : " blocks") + " of memory not freed";
    }
    is_pruned_ ? ++pruned : ++executions;
    if (is_random_) steps_expected_ = static_cast<std::uint32_t>(events_.size());
    if (!failure.empty()) describe();
  }

  std::uint32_t begin_thread() {
    const std::uint32_t id = threads_in_use_++;
    if (id == threads_.size()) threads_.emplace_back(std::make_unique<Thread>());
    Thread& thread = *threads_[id];
    thread.captured = nullptr;
    thread.next = Operation{};
    thread.id = id;
    thread.count = thread.spurious = 0;
    thread.state = Thread::State::ready;
    thread.is_notified = thread.has_acted = false;
    thread.seen.clear();
    thread.newest.clear();
    thread.known = thread.order = Clock{};
    thread.priority = is_random_ ? 1000 + random(1'000'000) : 0;
    thread.fiber.prepare(&Engine::enter);
    return id;
  }

  static void enter() {
    Engine& engine = *current();
    Thread& self = *engine.running_;
    engine.outside_ = 0;
    try {
      if (self.captured == nullptr) {
        engine.body_();
      } else {
        self.run(self.captured);
        self.destroy(self.captured);  // what it has captured ends with the thread
        engine.release(self.captured);
      }
    } catch (const std::exception& thrown) {
      engine.outside_ = 1;
      engine.fail(std::string("throws: ") + thrown.what());
    } catch (...) {
      engine.fail("throws");
    }
    engine.outside_ = 1;
    self.state = Thread::State::finished;
    self.known.at[self.id] = self.order.at[self.id] = ++self.count;
    engine.go_on();
    std::abort();
  }

  void note(const Thread& thread, std::string what) {
    if (failure.empty()) failure = "thread " + name_of(thread.id) + ": " + what;
  }

  // From one thread to the next, or back to whoever explores.
  void go_on() {
    Thread* const self = running_;
    Thread* const next = choose();
    if (next == nullptr) {
      leave();
    } else if (next != self) {
      running_ = next;
      self->fiber.switch_to(next->fiber);
    }
  }
  void leave() { running_->fiber.switch_to(host_); }

  // Chooses who goes on, and does its operation. Null: the execution is over.
  Thread* choose() {
    Thread* next = nullptr;
    if (events_.size() == options_.steps) {
      failure = "an execution of more than " + std::to_string(options_.steps) +
                " operations: a livelock, or too large a model";
    } else if (is_random_ || is_replay_) {
      next = choose_freely();
    } else {
      next = choose_next();
    }
    if (next == nullptr) return nullptr;
    ++operations;
    return next;
  }

  Thread* choose_next() {
    const auto depth = static_cast<std::uint32_t>(events_.size());
    const bool is_new = depth >= path_.size();
    Node& node = is_new ? path_.push() : path_[depth];
    if (is_new) {
      if (!fill(node)) {
        path_.pop();
        return nullptr;
      }
      node.sleep = carried_;
      const std::uint32_t last = running_ != nullptr ? running_->id : 0;
      if (depth != 0) bound(node, path_[depth - 1], last);
      // The thread that ran goes on if it can: an execution with few switches is read more easily.
      Threads order = node.enabled;
      std::uint32_t chosen = none;
      if ((order & bit(last)) != 0 && node.awake(last) != none) {
        chosen = last;
      } else {
        for (; order != 0; order &= order - 1) {
          const auto thread = static_cast<std::uint32_t>(__builtin_ctz(order));
          if (node.awake(thread) == none) continue;
          chosen = thread;
          break;
        }
      }
      if (chosen == none) {  // whatever comes now has been seen
        is_pruned_ = true;
        path_.pop();
        return nullptr;
      }
      node.thread = chosen;
      node.choice = node.awake(chosen);
      node.wanted = is_reduced_ ? bit(chosen) : node.enabled;
    }
    if (!is_reduced_ && options_.preemptions != ~0U && depth != 0) {
      Node& before = path_[depth - 1];
      node.preemptions =
          before.preemptions + ((node.enabled & bit(before.thread)) != 0 && node.thread != before.thread ? 1 : 0);
    }
    const std::uint32_t choice = node.choices[node.thread][node.choice];
    Thread& thread = *threads_[node.thread];
    execute(thread, choice, is_reduced_ && depth + 1 >= known_nodes_);
    if (is_reduced_) {
      Node& here = path_[depth];
      carried_.clear();
      const Event& event = events_.back();
      for (const Sleeper& sleeper : here.sleep) {
        if (sleeper.thread != event.thread && !wakes(event, sleeper)) carried_.push_back(sleeper);
      }
    }
    return &thread;
  }

  // Leaves a thread no choice when its preemption would be one too many.
  void bound(Node& node, const Node& before, std::uint32_t last) const {
    if (options_.preemptions == ~0U || (node.enabled & bit(last)) == 0) return;
    if (before.preemptions >= options_.preemptions) node.enabled = bit(last);
  }

  // Who may go on, and how. False: nobody; then the execution is over, or stuck.
  bool fill(Node& node) {
    bool all_finished = true;
    for (std::uint32_t id = 0; id != threads_in_use_; ++id) {
      Thread& thread = *threads_[id];
      if (thread.state == Thread::State::finished) continue;
      all_finished = false;
      if (!is_enabled(thread)) continue;
      node.enabled |= bit(id);
      node.operations[id] = thread.next;
      alternatives(thread, node.choices[id]);
    }
    if (node.enabled != 0) return true;
    if (!all_finished) stuck();
    return false;
  }

  void alternatives(const Thread& thread, std::vector<std::uint32_t>& into) const {
    const Operation& operation = thread.next;
    if (operation.is_atomic()) {
      locations_[operation.object]->choices(operation, thread.known, options_.dialect,
                                            thread.spurious < options_.spurious, into);
    } else if (operation.kind == Kind::notify_one && conditions_[operation.object].waiters != 0) {
      for (Threads rest = conditions_[operation.object].waiters; rest != 0; rest &= rest - 1)
        into.push_back(static_cast<std::uint32_t>(__builtin_ctz(rest)));
    } else if (operation.kind == Kind::relock && !thread.is_notified) {
      into.push_back(failed);  // a spurious wake-up
    } else {
      into.push_back(0);
    }
  }

  bool is_enabled(const Thread& thread) const {
    const Operation& operation = thread.next;
    switch (operation.kind) {
      case Kind::lock:
        return mutexes_[mutex_of(operation)].owner == none;
      case Kind::relock:
        return (thread.is_notified || thread.spurious < options_.spurious) &&
               mutexes_[mutex_of(operation)].owner == none;
      case Kind::join:
        return threads_[operation.object]->state == Thread::State::finished;
      case Kind::yield:
        return thread.has_acted || thread.seen.empty() || let_through(thread) != none;
      default:
        return true;
    }
  }

  // What lets a thread through that only looked and yields: the first store to what it looked at, since it was let
  // through last. Returns the event; `none`: it waits.
  std::uint32_t let_through(const Thread& thread) const {
    std::uint32_t first = none;
    for (std::size_t at = 0; at != thread.seen.size(); ++at) {
      const Location& location = *locations_[thread.seen[at].location];
      std::uint32_t newest = thread.seen[at].message;
      if (at < thread.newest.size()) newest = std::max(newest, thread.newest[at]);
      if (location.last() > newest) first = std::min(first, location.messages[newest + 1].event);
    }
    return first;
  }

  // Nobody can go on, and not all are done.
  void stuck() {
    std::string who;
    bool may_go_on = false;
    for (std::uint32_t id = 0; id != threads_in_use_; ++id) {
      const Thread& thread = *threads_[id];
      if (thread.state == Thread::State::finished) continue;
      const char* what = thread.next.kind == Kind::lock     ? " waits for a mutex"
                         : thread.next.kind == Kind::relock ? " waits for a notification or a mutex"
                         : thread.next.kind == Kind::join   ? " waits for a thread's end"
                                                            : " spins";
      who += (who.empty() ? "" : ", ") + name_of(id) + what;
      if (thread.next.kind == Kind::yield) {
        for (const Thread::Seen& seen : thread.seen)
          may_go_on = may_go_on || locations_[seen.location]->last() > seen.message;
      }
    }
    if (may_go_on) {
      // A loop that waits read something old once more: the same loop, having read what is new, is another execution.
      is_pruned_ = true;
      for (std::uint32_t id = 0; is_reduced_ && id != threads_in_use_; ++id) {
        const Thread& thread = *threads_[id];
        if (thread.state == Thread::State::finished || !thread.next.is_acquisition()) continue;
        if (thread.next.kind == Kind::lock || thread.is_notified)
          races_.of_acquisition(mutexes_[mutex_of(thread.next)].events, id, thread.order,
                                static_cast<std::uint32_t>(events_.size()), true);
      }
      return;
    }
    failure = "deadlock: " + who;
  }

  // Does the next operation of a thread.
  void execute(Thread& thread, std::uint32_t choice, bool look) {
    const auto position = static_cast<std::uint32_t>(events_.size());
    Event& event = events_.emplace_back();
    event.operation = thread.next;
    event.choice = choice;
    event.thread = thread.id;
    event.index = ++thread.count;
    thread.known.at[thread.id] = event.index;
    Clock order = thread.order;
    const Operation& operation = event.operation;
    switch (operation.kind) {
      case Kind::start:
        break;
      case Kind::load:
      case Kind::store:
      case Kind::rmw:
      case Kind::cas: {
        Location& location = *locations_[operation.object];
        if (location.is_dead) return note(thread, "an atomic is used after its end");
        if (!thread.known.covers(location.creator, location.created))
          return note(thread, "an atomic is used in a race with its construction");
        location.execute(event, position, thread.known, options_.dialect);
        thread.result = operation.kind == Kind::store ? 0 : event.before;
        thread.succeeded = event.wrote != none;
        if (operation.kind == Kind::cas && event.wrote == none && event.before == operation.expected) ++thread.spurious;
        if (operation.kind == Kind::load) {
          thread.seen.push_back({operation.object, event.read});
        } else {
          thread.has_acted = true;
        }
        if (is_reduced_) order = races_.of_atomic(location, order, look);
        break;
      }
      case Kind::lock:
      case Kind::relock: {
        Mutex& mutex = mutexes_[mutex_of(operation)];
        if (operation.kind == Kind::relock) {
          if (!thread.is_notified) {
            ++thread.spurious;
            Condition& condition = conditions_[operation.object];
            condition.waiters &= ~bit(thread.id);
            if (is_reduced_) order = races_.of_condition(condition.events, order, look);
            condition.events.push_back(position);
          }
          thread.is_notified = false;
        }
        mutex.owner = thread.id;
        if (options_.locks_order) thread.known.join(mutex.released);
        thread.has_acted = true;
        if (is_reduced_) order = races_.of_acquisition(mutex.events, thread.id, order, position, look);
        mutex.events.push_back(position);
        break;
      }
      case Kind::unlock:
      case Kind::wait: {
        Mutex& mutex = mutexes_[mutex_of(operation)];
        if (mutex.owner != thread.id) return note(thread, "a mutex is released by a thread that does not have it");
        mutex.owner = none;
        mutex.released = thread.known;
        mutex.events.push_back(position);
        thread.has_acted = true;
        if (operation.kind == Kind::wait) {
          Condition& condition = conditions_[operation.object];
          if (is_reduced_) order = races_.of_condition(condition.events, order, look);
          condition.waiters |= bit(thread.id);
          condition.events.push_back(position);
        }
        break;
      }
      case Kind::notify_one:
      case Kind::notify_all: {
        Condition& condition = conditions_[operation.object];
        if (is_reduced_) order = races_.of_condition(condition.events, order, look);
        condition.events.push_back(position);
        thread.has_acted = true;
        const Threads woken = condition.waiters == 0               ? 0
                              : operation.kind == Kind::notify_all ? condition.waiters
                                                                   : bit(choice);
        condition.waiters &= ~woken;
        order.at[thread.id] = event.index;
        for (Threads rest = woken; rest != 0; rest &= rest - 1) {
          Thread& waiter = *threads_[static_cast<unsigned>(__builtin_ctz(rest))];
          waiter.is_notified = true;
          waiter.order.join(order);
        }
        break;
      }
      case Kind::join: {
        const Thread& other = *threads_[operation.object];
        thread.known.join(other.known);
        order.join(other.order);
        thread.has_acted = true;
        break;
      }
      case Kind::yield: {
        const std::uint32_t by = thread.has_acted ? none : let_through(thread);
        if (by != none) order.join(events_[by].order);
        thread.newest.clear();
        if (!thread.has_acted) {
          for (const Thread::Seen& seen : thread.seen) thread.newest.push_back(locations_[seen.location]->last());
        }
        thread.seen.clear();
        thread.has_acted = false;
        break;
      }
    }
    order.at[thread.id] = event.index;
    event.order = order;
    thread.order = order;
  }

  // ---- random executions, and replays

  Thread* choose_freely() {
    Node& node = scratch_.push();
    scratch_.pop();
    if (!fill(node)) return nullptr;
    std::uint32_t id = none;
    std::uint32_t choice = 0;
    if (is_replay_) {
      if (next_pick_ == picks_.size()) {
        failure = "the choices to replay end before the execution does";
        return nullptr;
      }
      id = picks_[next_pick_].thread;
      choice = picks_[next_pick_++].choice;
      if ((node.enabled & bit(id)) == 0 || choice >= node.choices[id].size()) {
        failure = "the choices to replay are not of this model";
        return nullptr;
      }
    } else {
      id = options_.search == ExploreOptions::Search::pct ? by_priority(node.enabled) : by_chance(node.enabled);
      choice = random(static_cast<std::uint32_t>(node.choices[id].size()));
      picks_.push_back({id, choice});
    }
    execute(*threads_[id], node.choices[id][choice], false);
    return threads_[id].get();
  }

  std::uint32_t by_chance(Threads enabled) {
    for (std::uint32_t skip = random(static_cast<std::uint32_t>(__builtin_popcount(enabled))); skip != 0; --skip)
      enabled &= enabled - 1;
    return static_cast<std::uint32_t>(__builtin_ctz(enabled));
  }
  std::uint32_t by_priority(Threads enabled) {
    std::uint32_t best = none;
    for (; enabled != 0; enabled &= enabled - 1) {
      const auto id = static_cast<std::uint32_t>(__builtin_ctz(enabled));
      if (best == none || threads_[id]->priority > threads_[best]->priority) best = id;
    }
    for (std::uint32_t change = 0; change != changes_.size(); ++change) {
      if (changes_[change] == events_.size()) threads_[best]->priority = change;  // below all that are left
    }
    return best;
  }
  void prepare_random() {
    picks_.clear();
    changes_.clear();
    for (std::uint32_t change = 0; change != options_.changes; ++change)
      changes_.push_back(random(steps_expected_ + 1));
  }

  // The choices that led here, to be printed: a letter for the thread, how often it goes on in a row, and !N where it
  // takes its N-th alternative instead of the first (0).
  void describe() {
    if (!is_random_ && !is_replay_) {
      picks_.clear();
      for (std::uint32_t at = 0; at != path_.size(); ++at) picks_.push_back({path_[at].thread, path_[at].choice});
    }
    choices.clear();
    for (std::size_t at = 0; at != picks_.size();) {
      std::size_t end = at + 1;
      if (picks_[at].choice == 0) {
        while (end != picks_.size() && picks_[end].thread == picks_[at].thread && picks_[end].choice == 0) ++end;
      }
      choices += name_of(picks_[at].thread);
      if (picks_[at].choice != 0) choices += "!" + std::to_string(picks_[at].choice);
      if (end - at > 1) choices += std::to_string(end - at);
      at = end;
    }
  }
  // The same, read. False: it is not what describe() writes.
  bool read_choices(const std::string& text) {
    picks_.clear();
    for (std::size_t at = 0; at != text.size();) {
      const auto thread = static_cast<std::uint32_t>(text[at++] - 'A');
      if (thread >= max_threads) return false;
      const bool is_alternative = at != text.size() && text[at] == '!';
      if (is_alternative) ++at;
      std::uint32_t number = 0;
      const std::size_t digits = at;
      for (; at != text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
        number = number * 10 + static_cast<std::uint32_t>(text[at] - '0');
      if ((is_alternative && digits == at) || number > options_.steps) return false;
      const std::uint32_t times = is_alternative || digits == at ? 1 : number;
      picks_.insert(picks_.end(), times, Pick{thread, is_alternative ? number : 0});
    }
    return true;
  }

  std::uint32_t random(std::uint32_t below) {
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 7;
    seed_ ^= seed_ << 17;
    return static_cast<std::uint32_t>((seed_ >> 11) % below);
  }

  std::uint32_t now() const { return running_->count + 1; }
  bool knows(std::uint32_t thread, std::uint32_t when) const {
    return thread == running_->id || running_->known.covers(thread, when);
  }

  struct Pick {
    std::uint32_t thread = 0;
    std::uint32_t choice = 0;
  };

  std::function<void()> body_;
  ExploreOptions options_;
  bool is_random_ = false;
  bool is_reduced_ = false;
  bool is_replay_ = false;
  bool is_pruned_ = false;
  Path path_;
  Path scratch_;
  std::vector<Pick> picks_;
  std::size_t next_pick_ = 0;
  std::vector<std::uint32_t> changes_;
  std::vector<Event> events_;
  Races races_;
  std::vector<Sleeper> carried_;
  std::uint32_t known_nodes_ = 0;
  std::uint32_t steps_expected_ = 100;
  std::uint64_t seed_;
  Fiber host_;
  Thread* running_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<std::unique_ptr<Location>> locations_;
  std::vector<Plain> plains_;
  std::vector<Mutex> mutexes_;
  std::vector<Condition> conditions_;
  Arena arena_;
  int outside_ = 1;
  std::uint32_t threads_in_use_ = 0;
  std::uint32_t locations_in_use_ = 0;
  std::uint32_t plains_in_use_ = 0;
  std::uint32_t mutexes_in_use_ = 0;
  std::uint32_t conditions_in_use_ = 0;
};

}  // namespace explorer
}  // namespace assay::testkit
