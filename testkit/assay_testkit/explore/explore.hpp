// A model checker for C++ threads: runs a function in every interleaving of its threads, with every value that the
// C++20 memory model lets an atomic load read, and says which one fails.
//
//   using namespace assay::testkit;
//   const Exploration found = explore([] {
//     modelled::Atomic<int> ready(0);
//     modelled::Cell<int> data(0);
//     modelled::Thread writer([&] {
//       data.set(42);
//       ready.store(1, modelled::Order::release);
//     });
//     if (ready.load(modelled::Order::acquire) == 1) modelled::check(data.get() == 42, "the data has arrived");
//     writer.join();
//   });
//   REQUIRE(found.passed());  // with Order::relaxed: found.report() has the race, step by step
//
// What it finds: failed checks, data races on cells, use of atomics and cells after their end or in a race with it,
// deadlocks (a lost wake-up is one: everyone blocked), loops that never end, memory that leaks (explore/heap.hpp),
// exceptions that leave a thread. What it cannot see: memory.hpp, docs/exploring.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "assay_testkit/explore/engine.hpp"
#include "assay_testkit/explore/modelled.hpp"
#include "assay_testkit/explore/table.hpp"

namespace assay::testkit {

// What an exploration has found.
struct Exploration {
  std::uint64_t executions = 0;  // each different from the others (in the mind of the search)
  std::uint64_t pruned = 0;      // begun, and given up because what follows had been seen
  std::uint64_t operations = 0;
  bool complete = false;  // every execution was seen
  std::string failure{};  // of the last one; empty: none
  std::string choices{};  // that lead to it, for ExploreOptions::replay
  std::string table{};    // it, step by step

  bool passed() const { return failure.empty(); }
  std::string report() const {
    return passed() ? std::to_string(executions) + " executions" + (complete ? "" : ", not all there are")
                    : failure + "\n" + table + "To see it again: ExploreOptions::replay = \"" + choices + "\"\n";
  }
};

// Runs `body` as thread A of each execution. It may capture what is outside; what it changes there stays changed.
inline Exploration explore(std::function<void()> body, const ExploreOptions& options = {}) {
  explorer::Engine engine(std::move(body), options);
  engine.run();
  Exploration found;
  found.executions = engine.executions;
  found.pruned = engine.pruned;
  found.operations = engine.operations;
  found.complete = engine.complete;
  found.failure = engine.failure;
  found.choices = engine.choices;
  if (!found.failure.empty()) found.table = explorer::table_of(engine.events());
  return found;
}

}  // namespace assay::testkit
