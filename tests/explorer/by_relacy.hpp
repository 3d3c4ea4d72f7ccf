// A small program (programs.hpp) under Relacy's full search: all outcomes that it finds. Include first.
#pragma once

#include "assay_testkit/relacy.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>

#include "programs.hpp"

namespace assay::test {

// What an execution ends with, without memory of its own: Relacy would take that for the model's.
struct FixedOutcome {
  std::array<int, 24> values{};
  std::size_t size = 0;

  void push_back(int value) { values.at(size++) = value; }
  void append(const FixedOutcome& other) {
    for (std::size_t at = 0; at != other.size; ++at) push_back(other.values[at]);
  }
  bool operator<(const FixedOutcome& other) const {
    return std::lexicographical_compare(values.begin(), values.begin() + size, other.values.begin(),
                                        other.values.begin() + other.size);
  }
};

template <class T>
struct MallocAllocator {
  using value_type = T;
  MallocAllocator() = default;
  template <class Other>
  explicit MallocAllocator(const MallocAllocator<Other>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(std::malloc(count * sizeof(T))); }
  void deallocate(T* place, std::size_t) { std::free(place); }
  bool operator==(const MallocAllocator&) const { return true; }
};

using FixedOutcomes = std::set<FixedOutcome, std::less<>, MallocAllocator<FixedOutcome>>;

inline const Program* relacy_program = nullptr;
inline FixedOutcomes* relacy_outcomes = nullptr;

template <unsigned threads>
struct ByRelacy : rl::test_suite<ByRelacy<threads>, static_cast<int>(threads)> {
  std::array<rl::atomic<int>, 3> variables;
  rl::mutex mutex;
  std::array<FixedOutcome, threads> registers;

  static rl::memory_order order_of(testkit::modelled::Order order) {
    constexpr std::array<rl::memory_order, 5> orders{rl::mo_relaxed, rl::mo_acquire, rl::mo_release, rl::mo_acq_rel,
                                                     rl::mo_seq_cst};
    return orders.at(static_cast<std::size_t>(order));
  }

  void before() {
    for (std::size_t at = 0; at != relacy_program->variables.size(); ++at) variables[at].store(0, rl::mo_relaxed, $);
    for (FixedOutcome& mine : registers) mine.size = 0;
  }
  void thread(unsigned id) {
    FixedOutcome& mine = registers[id];
    for (const Step& step : relacy_program->threads[id]) {
      rl::atomic<int>& variable = variables[step.variable];
      const rl::memory_order order = order_of(step.order);
      switch (step.kind) {
        case Step::Kind::load:
          mine.push_back(variable.load(order, $));
          break;
        case Step::Kind::store:
          variable.store(step.operand, order, $);
          break;
        case Step::Kind::add:
          mine.push_back(variable.fetch_add(step.operand, order, $));
          break;
        case Step::Kind::exchange:
          mine.push_back(variable.exchange(step.operand, order, $));
          break;
        case Step::Kind::compare: {
          int found = step.expected;
          variable.compare_exchange_strong(found, step.operand, order, $, order_of(failure_order(step.order)), $);
          mine.push_back(found);
          break;
        }
        case Step::Kind::lock:
          mutex.lock($);
          break;
        case Step::Kind::unlock:
          mutex.unlock($);
          break;
      }
    }
  }
  void after() {
    FixedOutcome outcome;
    for (const FixedOutcome& mine : registers) outcome.append(mine);
    for (std::size_t at = 0; at != relacy_program->variables.size(); ++at)
      outcome.push_back(variables[at].load(rl::mo_seq_cst, $));
    relacy_outcomes->insert(outcome);
  }
};

struct RelacyOutcomes {
  std::set<Outcome> seen;
  std::uint64_t executions = 0;
  bool complete = true;
};

inline RelacyOutcomes outcomes_by_relacy(const Program& program, std::uint64_t executions) {
  FixedOutcomes seen;
  relacy_program = &program;
  relacy_outcomes = &seen;
  rl::test_params params;
  std::ostringstream progress;
  params.progress_stream = &progress;
  params.search_type = rl::sched_full;
  params.iteration_count = executions;
  std::streambuf* const output = std::cout.rdbuf(progress.rdbuf());  // where Relacy says how fast it was
  RelacyOutcomes outcomes;
  if (program.threads.size() == 2) {
    outcomes.complete = rl::simulate<ByRelacy<2>>(params);
  } else {
    outcomes.complete = rl::simulate<ByRelacy<3>>(params);
  }
  std::cout.rdbuf(output);
  outcomes.executions = params.stop_iteration;
  outcomes.complete = outcomes.complete && outcomes.executions < executions;
  for (const FixedOutcome& outcome : seen)
    outcomes.seen.emplace(outcome.values.begin(), outcome.values.begin() + outcome.size);
  return outcomes;
}

}  // namespace assay::test
