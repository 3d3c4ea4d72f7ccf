// The timer structures that were considered for runtime/assay/intrusive_heap.hpp, each as plain as it can be, on the same work.
// Not a contender: no task, no waker, only the queue. bench/run measures it (`Timer structures` in its report); by itself:
//
//   bench/run --row 'cancel/*' --row 'drain/*'
//
//   cancel/S   a timer is armed and cancelled beside 100,000 others
//   drain/S    100,000 timers, armed in no order, are all due: the time to take each out in order of deadline, then of arming
//
// Each timer lies in 320 bytes of its own, as in a coroutine's frame.
#include <algorithm>
#include <array>
#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "assay/intrusive_heap.hpp"

#include "support.hpp"

namespace {

using bench::Run;

struct Frame final : assay::HeapNode<Frame> {
  std::int64_t deadline = 0;
  std::uint64_t order = 0;
  std::size_t place = 0;     // implicit heap: where the entry is
  bool is_cancelled = false;  // lazy deletion
  Frame* next = nullptr;     // wheel
  Frame* previous = nullptr;
  std::array<char, 208> rest{};
};

struct Entry {
  std::int64_t deadline;
  std::uint64_t order;
  Frame* frame;
  bool operator<(const Entry& other) const { return std::pair(deadline, order) < std::pair(other.deadline, other.order); }
  bool operator>(const Entry& other) const { return other < *this; }
};

// What assay had: the pairing heap alone, popped one by one.
class Pairing {
 public:
  void arm(Frame& frame, std::int64_t deadline) { heap_.push(frame, deadline); }
  void cancel(Frame& frame) { frame.unlink(); }
  template <class Each>
  void drain(Each&& each) {
    while (Frame* const frame = heap_.front()) {
      frame->unlink();
      each(*frame, frame->key());
    }
  }

 private:
  assay::IntrusiveHeap<Frame> heap_;
};

// What assay has.
class Gathering {
 public:
  void arm(Frame& frame, std::int64_t deadline) { heap_.push(frame, deadline); }
  void cancel(Frame& frame) { frame.unlink(); }
  template <class Each>
  void drain(Each&& each) {
    heap_.gather(INT64_MAX);
    while (Frame* const frame = heap_.run_front()) {
      frame->unlink();
      each(*frame, frame->key());
    }
  }

 private:
  assay::IntrusiveHeap<Frame> heap_;
};

// A heap of four children in an array, keys inside; each move writes the place into the timer, which cancel needs. Allocates.
class Implicit {
 public:
  void arm(Frame& frame, std::int64_t deadline) {
    entries_.push_back({deadline, orders_++, &frame});
    up(entries_.size() - 1);
  }
  void cancel(Frame& frame) { remove(frame.place); }
  template <class Each>
  void drain(Each&& each) {
    while (!entries_.empty()) {
      const Entry first = entries_.front();
      remove(0);
      each(*first.frame, first.deadline);
    }
  }

 private:
  void put(std::size_t at, const Entry& entry) {
    entries_[at] = entry;
    entry.frame->place = at;
  }
  void remove(std::size_t at) {
    const Entry last = entries_.back();
    entries_.pop_back();
    if (at == entries_.size()) return;
    put(at, last);
    up(at);
    down(last.frame->place);
  }
  void up(std::size_t at) {
    const Entry entry = entries_[at];
    for (; at > 0 && entry < entries_[(at - 1) / 4]; at = (at - 1) / 4) put(at, entries_[(at - 1) / 4]);
    put(at, entry);
  }
  void down(std::size_t at) {
    const Entry entry = entries_[at];
    for (;;) {
      const std::size_t first = 4 * at + 1;
      if (first >= entries_.size()) break;
      std::size_t best = first;
      for (std::size_t i = first + 1; i < std::min(first + 4, entries_.size()); ++i) {
        if (entries_[i] < entries_[best]) best = i;
      }
      if (!(entries_[best] < entry)) break;
      put(at, entries_[best]);
      at = best;
    }
    put(at, entry);
  }

  std::vector<Entry> entries_;
  std::uint64_t orders_ = 0;
};

// The standard library's heap; a cancelled timer stays until its time. Allocates, and grows with what is cancelled: here the
// entry of a cancelled timer would outlive the timer, so each timer needs an owner that waits for it, too (left out here).
class Lazy {
 public:
  void arm(Frame& frame, std::int64_t deadline) {
    frame.is_cancelled = false;
    queue_.push({deadline, orders_++, &frame});
  }
  void cancel(Frame& frame) { frame.is_cancelled = true; }
  template <class Each>
  void drain(Each&& each) {
    for (; !queue_.empty(); queue_.pop()) {
      const Entry first = queue_.top();
      if (!first.frame->is_cancelled) each(*first.frame, first.deadline);
    }
  }

 private:
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  std::uint64_t orders_ = 0;
};

// A hierarchical wheel: 11 levels of 64 lists by the highest six bits in which deadline and time differ; when time comes to a
// list, it is distributed among the levels below. Exact to the nanosecond; equal deadlines come in the order of arming only
// because lists are kept in it. next_deadline() is not O(1): it has to look through a list.
class Wheel {
 public:
  void arm(Frame& frame, std::int64_t deadline) {
    frame.deadline = deadline;
    link(frame);
  }
  void cancel(Frame& frame) {
    frame.previous->next = frame.next;
    frame.next->previous = frame.previous;
  }
  template <class Each>
  void drain(Each&& each) {
    for (std::size_t level = 0; level < heads_.size();) {
      std::size_t slot = 0;
      while (slot < 64 && heads_[level][slot].next == &heads_[level][slot]) ++slot;
      if (slot == 64) {
        ++level;
        continue;
      }
      Frame& head = heads_[level][slot];
      if (level == 0) {
        Frame& first = *head.next;
        cancel(first);
        now_ = first.deadline;
        each(first, first.deadline);
        continue;
      }
      std::int64_t earliest = INT64_MAX;
      for (const Frame* frame = head.next; frame != &head; frame = frame->next) earliest = std::min(earliest, frame->deadline);
      now_ = earliest;
      while (head.next != &head) {
        Frame& frame = *head.next;
        cancel(frame);
        link(frame);
      }
      level = 0;
    }
  }

  Wheel() : heads_(11) {
    for (auto& level : heads_) {
      for (Frame& head : level) head.next = head.previous = &head;
    }
  }

 private:
  void link(Frame& frame) {
    const auto differ = static_cast<std::uint64_t>(frame.deadline ^ now_);
    const int level = differ == 0 ? 0 : (63 - __builtin_clzll(differ)) / 6;
    Frame& head = heads_[static_cast<std::size_t>(level)][static_cast<std::uint64_t>(frame.deadline) >> (6 * level) & 63U];
    frame.next = &head;
    frame.previous = head.previous;
    head.previous->next = &frame;
    head.previous = &frame;
  }

  std::vector<std::array<Frame, 64>> heads_;
  std::int64_t now_ = 0;
};

constexpr std::uint64_t outstanding = 100'000;
constexpr std::int64_t window_ns = 1'000'000;

template <class Structure>
void cancel(Run& run, std::uint64_t) {
  Structure structure;
  std::vector<Frame> frames(outstanding + 1);
  bench::Random random(1);
  for (std::uint64_t i = 0; i < outstanding; ++i) structure.arm(frames[i], static_cast<std::int64_t>(bench::far_delay_ns(random)));
  const std::vector<std::uint64_t> delays = bench::far_delays();
  Frame& one = frames.back();
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    structure.arm(one, static_cast<std::int64_t>(delays[i % bench::far_delay_count]));
    structure.cancel(one);
  }
  run.stop();
  structure.drain([](Frame&, std::int64_t) {});
}

template <class Structure>
void drain(Run& run, std::uint64_t) {
  Structure structure;
  std::vector<Frame> frames(run.operations());
  bench::Random random(1);
  for (Frame& frame : frames) structure.arm(frame, static_cast<std::int64_t>(random.next() % window_ns));
  std::int64_t last = 0;
  std::uint64_t count = 0;
  bool in_order = true;
  run.start();
  structure.drain([&](Frame& frame, std::int64_t deadline) {
    frame.rest[0] = 1;  // what is woken lies beside it
    in_order = in_order && last <= deadline;
    last = deadline;
    ++count;
  });
  run.stop();
  if (!in_order || count != run.operations()) throw std::runtime_error("the structure is broken");
}

template <class Structure>
void add(std::vector<bench::Row>& rows, const std::string& name) {
  rows.push_back({"cancel/" + name, cancel<Structure>});
  rows.push_back({"drain/" + name, drain<Structure>});
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Row> rows;
  add<Pairing>(rows, "pairing");
  add<Gathering>(rows, "gathering");
  add<Implicit>(rows, "implicit");
  add<Lazy>(rows, "lazy");
  add<Wheel>(rows, "wheel");
  return bench::run_program(CONTENDER, rows, argc, argv);
}
