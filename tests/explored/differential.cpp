// The inbox and its shared words against an implementation of the same contract with one plain mutex: random small programs (two
// threads that wake, clone and drop the Wakers of two tasks; an owner that looks, prepares to sleep, and may close) run under the
// explorer with both, in every interleaving. What the owner and the tasks can see must be the same set of outcomes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "assay_testkit/model.hpp"

#include "assay_testkit/explore/heap.hpp"

#include "assay/audited/inbox.hpp"

namespace {

using assay::audited::Inbox;
using assay::audited::RemoteNode;
using assay::testkit::Exploration;
using assay::testkit::explore;
namespace modelled = assay::testkit::modelled;
namespace sync = assay::testkit::sync;

constexpr unsigned nodes = 2;
using Free = std::array<int, nodes>;

// What one thread of the owner's saw: appended to, in order.
class Outcome {
 public:
  void seen(unsigned node, bool notified, bool is_last) {
    if (!notified && !is_last) return;  // a message that came before what it is about
    text_ += static_cast<char>('a' + node);
    if (notified) text_ += '!';
    if (is_last) text_ += '0';
    by_owner_.at(node) += is_last ? 1 : 0;
  }
  void sleeps(bool may_sleep) { text_ += may_sleep ? " sleeps" : " stays"; }
  void next() { text_ += ' '; }
  void orphaned(unsigned node) { ++orphans_.at(node); }

  std::string text() const {
    std::string all = text_ + " |";
    for (unsigned node = 0; node != nodes; ++node) {
      modelled::check(by_owner_.at(node) + orphans_.at(node) == 1, "each task is freed once");
      all += orphans_.at(node) != 0 ? " orphan" : " owner";
    }
    return all;
  }

 private:
  std::string text_;
  Free by_owner_{};
  Free orphans_{};
};

// The production code.
class LockFree {
  class Core final : public Inbox {
   public:
    explicit Core(LockFree& world) : world_(world) {}

   private:
    void raise() noexcept override { ++world_.raises_; }
    void free_orphan(RemoteNode& node) noexcept override { world_.outcome_.orphaned(world_.number_of(node)); }
    void destroy_inbox() noexcept override {}
    LockFree& world_;
  };

  auto seen() {
    return [this](RemoteNode& node, std::uint64_t word) {
      outcome_.seen(number_of(node), (word & Inbox::notified) != 0, Inbox::count_of(word) == 0);
    };
  }

 public:
  explicit LockFree(Outcome& outcome) : outcome_(outcome), core_(*this), first_(core_), second_(core_) {}
  void clone(unsigned node) { Inbox::clone(at(node)); }
  void wake(unsigned node) { Inbox::wake_by_ref(at(node)); }
  void drop(unsigned node) { Inbox::drop(at(node)); }
  void drain() { core_.drain(seen()); }
  void close() { core_.close(seen()); }
  void sleep() {
    ++sleeps_;
    const bool may_sleep = core_.prepare_sleep();
    outcome_.sleeps(may_sleep);
    if (may_sleep) core_.finish_sleep();
  }
  void end() const { modelled::check(raises_ <= sleeps_, "at most one raise for each sleep"); }

 private:
  RemoteNode& at(unsigned node) { return node == 0 ? first_ : second_; }
  unsigned number_of(const RemoteNode& node) const { return &node == &first_ ? 0 : 1; }
  Outcome& outcome_;
  int raises_ = 0;
  int sleeps_ = 0;
  Core core_;
  RemoteNode first_;
  RemoteNode second_;
};

// The same, in words that need no argument.
class Locked {
  struct Node {
    int count = 0;
    bool notified = false;
    bool is_waiting = false;
  };

 public:
  explicit Locked(Outcome& outcome) : outcome_(outcome) {}
  void clone(unsigned node) {
    const sync::Lock lock(mutex_);
    ++nodes_.at(node).count;
  }
  void wake(unsigned node) {
    const sync::Lock lock(mutex_);
    if (is_closed_) return;
    nodes_.at(node).notified = true;
    enqueue(node);
  }
  // The last one says first that it will go, so that an owner which is about to sleep stays awake for it.
  void drop(unsigned node) {
    {
      const sync::Lock lock(mutex_);
      if (nodes_.at(node).count == 1 && !is_closed_) enqueue(node);
    }
    const sync::Lock lock(mutex_);
    if (--nodes_.at(node).count != 0) return;
    is_closed_ ? outcome_.orphaned(node) : enqueue(node);
  }
  void drain() { take(false); }
  void close() { take(true); }
  void sleep() {
    const sync::Lock lock(mutex_);
    outcome_.sleeps(queue_.empty());
  }
  void end() const {}

 private:
  void take(bool closes) {
    const sync::Lock lock(mutex_);
    for (const unsigned node : queue_) {
      outcome_.seen(node, nodes_.at(node).notified, nodes_.at(node).count == 0);
      nodes_.at(node).notified = nodes_.at(node).is_waiting = false;
    }
    queue_.clear();
    is_closed_ = closes;
  }

  void enqueue(unsigned node) ASSAY_REQUIRES(mutex_) {
    if (!std::exchange(nodes_.at(node).is_waiting, true)) queue_.push_back(node);
  }

  Outcome& outcome_;
  sync::Mutex mutex_;
  std::array<Node, nodes> nodes_ ASSAY_GUARDED_BY(mutex_);
  std::vector<unsigned> queue_ ASSAY_GUARDED_BY(mutex_);
  bool is_closed_ ASSAY_GUARDED_BY(mutex_) = false;
};

struct Step {
  enum Kind : unsigned { wake, clone, drop } kind = wake;
  unsigned node = 0;
};
struct Program {
  std::array<std::vector<Step>, 2> threads;
  std::vector<unsigned> owner;  // 0: drain, 1: prepare to sleep
  bool closes = false;

  std::string text() const {
    static constexpr std::array<const char*, 3> names{"wake", "clone", "drop"};
    std::string all = closes ? "closes;" : "";
    for (const unsigned step : owner) all += step == 0 ? " drain" : " sleep";
    for (const std::vector<Step>& steps : threads) {
      all += " |";
      for (const Step& step : steps) all += std::string(" ") + names.at(step.kind) + (step.node == 0 ? " a" : " b");
    }
    return all;
  }
};

Program random_program(std::minstd_rand& random) {
  const auto below = [&](unsigned bound) { return static_cast<unsigned>(random()) % bound; };
  Program program;
  for (std::vector<Step>& steps : program.threads) {
    const unsigned count = below(3);
    for (unsigned at = 0; at != count; ++at) steps.push_back({static_cast<Step::Kind>(below(3)), below(nodes)});
  }
  const unsigned count = 1 + below(2);
  for (unsigned at = 0; at != count; ++at) program.owner.push_back(below(2));
  program.closes = below(2) == 0;
  return program;
}

// Each thread begins with a Waker of one of the tasks, and ends without any.
template <class World>
void run(const Program& program, std::set<std::string>& outcomes) {
  Outcome outcome;
  {
    World world(outcome);
    for (unsigned node = 0; node != nodes; ++node) world.clone(node);
    const auto work = [&](unsigned index) {
      std::array<int, nodes> held{};
      held.at(index) = 1;
      for (const Step& step : program.threads.at(index)) {
        int& mine = held.at(step.node);
        if (mine == 0) continue;
        if (step.kind == Step::wake) world.wake(step.node);
        if (step.kind == Step::clone) world.clone(step.node), ++mine;
        if (step.kind == Step::drop) world.drop(step.node), --mine;
      }
      for (unsigned node = 0; node != nodes; ++node) {
        for (; held.at(node) != 0; --held.at(node)) world.drop(node);
      }
    };
    {
      modelled::Thread first([&] { work(0); });
      modelled::Thread second([&] { work(1); });
      for (const unsigned step : program.owner) {
        step == 0 ? world.drain() : world.sleep();
        outcome.next();
      }
      if (program.closes) world.close();
      first.join();
      second.join();
    }
    if (!program.closes) world.drain();
    world.end();
  }
  const std::string text = outcome.text();
  modelled::outside([&] { outcomes.insert(text); });
}

bool fails(const Exploration& found, const char* which, const Program& program) {
  if (found.passed() && found.complete) return false;
  std::printf("%s: %s\n%s\n", which, program.text().c_str(), found.report().c_str());
  return true;
}

}  // namespace

int main(int count, char** words) {
  unsigned programs = 300;
  unsigned seed = 1;
  for (int at = 1; at < count; at += 2) {
    unsigned* const place = std::strcmp(words[at], "--programs") == 0 ? &programs : std::strcmp(words[at], "--seed") == 0 ? &seed : nullptr;
    if (place == nullptr || at + 1 == count) {
      std::fprintf(stderr, "usage: %s [--programs N] [--seed N]\n", words[0]);
      return 2;
    }
    *place = static_cast<unsigned>(std::strtoul(words[at + 1], nullptr, 10));
  }
  std::minstd_rand random(seed);
  unsigned different = 0;
  std::uint64_t executions = 0;
  std::size_t all_outcomes = 0;
  for (unsigned at = 0; at != programs; ++at) {
    const Program program = random_program(random);
    std::set<std::string> lock_free;
    std::set<std::string> locked;
    const Exploration one = explore([&] { run<LockFree>(program, lock_free); });
    const Exploration other = explore([&] { run<Locked>(program, locked); });
    executions += one.executions + other.executions;
    all_outcomes += locked.size();
    if (fails(one, "without locks", program) || fails(other, "with a lock", program)) return 1;
    if (lock_free == locked) continue;
    ++different;
    std::printf("differs: %s\n", program.text().c_str());
    for (const std::string& outcome : lock_free) {
      if (!locked.contains(outcome)) std::printf("  only without locks: %s\n", outcome.c_str());
    }
    for (const std::string& outcome : locked) {
      if (!lock_free.contains(outcome)) std::printf("  only with a lock: %s\n", outcome.c_str());
    }
  }
  std::printf("differential: %s  %u programs, %u differ; %zu outcomes, %llu executions\n", different == 0 ? "PASS" : "FAIL", programs,
              different, all_outcomes, static_cast<unsigned long long>(executions));
  return different == 0 ? 0 : 1;
}
