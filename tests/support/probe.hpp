// All counters of an executor and a ledger, to be compared as one value after every step of a test.
#pragma once

#include <cstdint>
#include <ostream>

#include "assay/executor.hpp"
#include "assay_testkit/ledger.hpp"

namespace assay::test {

// What happened since the step before (the first block), and how things stand now (the second).
struct Step {
  std::uint64_t spawned = 0;
  std::uint64_t polls = 0;
  std::uint64_t completed = 0;
  std::uint64_t threw = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t freed = 0;
  std::uint64_t local_wakes = 0;
  std::uint64_t remote_wakes = 0;
  std::uint64_t enqueued = 0;
  std::uint64_t stranded = 0;

  std::uint64_t live = 0;     // tasks whose memory is in use
  std::uint64_t futures = 0;  // ScriptedFutures alive
  std::uint64_t values = 0;   // Counted values alive

  friend bool operator==(const Step&, const Step&) = default;

  friend std::ostream& operator<<(std::ostream& out, const Step& step) {
    const auto field = [&out](const char* name, std::uint64_t value) {
      if (value != 0) out << ' ' << name << '=' << value;
    };
    out << '{';
    field("spawned", step.spawned);
    field("polls", step.polls);
    field("completed", step.completed);
    field("threw", step.threw);
    field("cancelled", step.cancelled);
    field("freed", step.freed);
    field("local_wakes", step.local_wakes);
    field("remote_wakes", step.remote_wakes);
    field("enqueued", step.enqueued);
    field("stranded", step.stranded);
    field("live", step.live);
    field("futures", step.futures);
    field("values", step.values);
    return out << " }";
  }
};

// Owner thread only. Everything that step() leaves out of its expectation must not have happened.
class Probe {
 public:
  Probe(Executor& executor, const testkit::Ledger& ledger)
      : executor_(executor), ledger_(ledger), before_(executor.stats()) {}

  Step step() {
    executor_.check_deep();
    const ExecutorStats now = executor_.stats();
    const ExecutorStats was = std::exchange(before_, now);
    return Step{.spawned = now.spawned - was.spawned,
                .polls = now.polls - was.polls,
                .completed = now.completed - was.completed,
                .threw = now.threw - was.threw,
                .cancelled = now.cancelled - was.cancelled,
                .freed = now.freed - was.freed,
                .local_wakes = now.local_wakes - was.local_wakes,
                .remote_wakes = now.remote_wakes - was.remote_wakes,
                .enqueued = now.enqueued - was.enqueued,
                .stranded = now.stranded - was.stranded,
                .live = executor_.live_tasks(),
                .futures = ledger_.futures_alive(),
                .values = ledger_.values_alive()};
  }

 private:
  Executor& executor_;
  const testkit::Ledger& ledger_;
  ExecutorStats before_;
};

}  // namespace assay::test
