// The classical litmus tests of memory models, as the interleaving explorer sees them: what C++20 allows is found, what
// it forbids is not; and what it allows and the explorer cannot show is listed as such, and seen not to be shown.
//
// Expected outcomes: ISO C++20 [atomics.order] and [intro.races]; for the names and shapes, Alglave, Maranget and
// Tautschnig 2014
// ("Herding cats"), Batty et al. 2011, and Lahav et al. 2017 ("Repairing sequential consistency in C/C++11").
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "assay_testkit/explore/heap.hpp"
#include "programs.hpp"

using namespace assay::test;
using assay::testkit::ExploreOptions;

namespace {

enum class Verdict {
  allowed,
  forbidden,
  not_shown,  // allowed, but only in an execution whose program order, reads-from, modification and seq_cst orders form
              // a cycle
};
using enum Verdict;

struct Litmus {
  const char* name;
  const char* program;
  const char* outcome;  // registers, then last values; _ is any value
  Verdict verdict;
};

constexpr Litmus table[] = {
    // Store buffering: each thread stores and then reads what the other stores. Lost wake-ups have this shape.
    {"SB", "x=1; r=y | y=1; r=x", "0 0", allowed},
    {"SB+rel+acq", "x=1 rel; r=y acq | y=1 rel; r=x acq", "0 0", allowed},
    {"SB+sc", "x=1 sc; r=y sc | y=1 sc; r=x sc", "0 0", forbidden},
    {"SB+sc stores", "x=1 sc; r=y acq | y=1 sc; r=x acq", "0 0", allowed},
    {"SB+sc loads", "x=1 rel; r=y sc | y=1 rel; r=x sc", "0 0", allowed},
    {"SB+sc in one thread", "x=1 sc; r=y sc | y=1 rel; r=x acq", "0 0", allowed},
    {"SB+one store weaker", "x=1 sc; r=y sc | y=1 rel; r=x sc", "0 0", allowed},
    {"SB+one load weaker", "x=1 sc; r=y sc | y=1 sc; r=x acq", "0 0", allowed},
    {"SB+exchanges ar", "r=x:1 ar; r=y acq | r=y:1 ar; r=x acq", "0 0 0 0", allowed},
    {"SB+exchanges sc", "r=x:1 sc; r=y sc | r=y:1 sc; r=x sc", "0 0 0 0", forbidden},
    {"SB+exchange on one flag", "r=x:1 ar; r=y | y=1; r=x:2 ar", "0 0 0", forbidden},
    {"SB+exchange on one flag, relaxed", "r=x:1; r=y | y=1; r=x:2", "0 0 1", allowed},
    {"SB+exchange on one flag, late", "r=x:1 ar; r=y acq | y=1; r=x:2 ar", "2 0 0", forbidden},
    {"SB+rmw reads", "x=1; r=y+0 ar | y=1; r=x+0 ar", "0 0", not_shown},
    {"SB+rmw reads sc", "x=1 sc; r=y+0 sc | y=1 sc; r=x+0 sc", "0 0", forbidden},
    // Message passing.
    {"MP", "x=1; y=1 | r=y; r=x", "1 0", allowed},
    {"MP+rel", "x=1; y=1 rel | r=y; r=x", "1 0", allowed},
    {"MP+acq", "x=1; y=1 | r=y acq; r=x", "1 0", allowed},
    {"MP+rel+acq", "x=1; y=1 rel | r=y acq; r=x", "1 0", forbidden},
    {"MP+sc flag", "x=1; y=1 sc | r=y sc; r=x", "1 0", forbidden},
    {"MP+sc stores", "x=1 sc; y=1 sc | r=y; r=x", "1 0", allowed},
    {"MP+sc data", "x=1 sc; y=1 | r=y; r=x sc", "1 0", not_shown},
    {"MP+release exchange", "x=1; r=y:1 rel | r=y acq; r=x", "0 1 0", forbidden},
    {"MP+acquire exchange", "x=1; r=y:1 acq | r=y acq; r=x", "0 1 0", allowed},
    {"MP+fetch_add acquires", "x=1; y=1 rel | r=y+0 acq; r=x", "1 0", forbidden},
    {"MP+fetch_add releases only", "x=1; y=1 rel | r=y+0 rel; r=x", "1 0", allowed},
    {"MP+failed exchange acquires", "x=1; y=1 rel | r=y?2:3 acq; r=x", "1 0", forbidden},
    {"MP+failed exchange relaxed", "x=1; y=1 rel | r=y?2:3 rel; r=x", "1 0", allowed},
    // Release sequences: only read-modify-writes continue them (C++20).
    {"relseq+rmw", "x=1; y=1 rel | r=y+1 | r=y acq; r=x", "1 2 0", forbidden},
    {"relseq+exchange", "x=1; y=1 rel | r=y:5 | r=y acq; r=x", "1 5 0", forbidden},
    {"relseq+two rmws", "x=1; y=1 rel | r=y+1; r=y+1 | r=y acq; r=x", "1 2 3 0", forbidden},
    {"relseq+own rmw", "x=1; y=1 rel; r=y+1 | r=y acq; r=x", "1 2 0", forbidden},
    {"relseq+own store", "x=1; y=1 rel; y=2 | r=y acq; r=x", "2 0", allowed},
    {"relseq+other store", "x=1; y=1 rel | y=2 | r=y acq; r=x", "2 0", allowed},
    {"relseq+rmw of a relaxed store", "x=1; y=1 | r=y+1 rel | r=y acq; r=x", "1 2 0", allowed},
    {"relseq+rmw before the store", "x=1; y=2 rel | r=y+1 | r=y acq; r=x", "0 1 0", allowed},
    // Load buffering.
    {"LB", "r=x; y=1 | r=y; x=1", "1 1", not_shown},
    {"LB+acq", "r=x acq; y=1 | r=y acq; x=1", "1 1", not_shown},
    {"LB+rel", "r=x; y=1 rel | r=y; x=1 rel", "1 1", not_shown},
    {"LB+one side", "r=x acq; y=1 rel | r=y; x=1", "1 1", not_shown},
    {"LB+rel+acq", "r=x acq; y=1 rel | r=y acq; x=1 rel", "1 1", forbidden},
    {"LB+sc", "r=x sc; y=1 sc | r=y sc; x=1 sc", "1 1", forbidden},
    // Independent reads of independent writes.
    {"IRIW", "x=1 | r=x; r=y | r=y; r=x | y=1", "1 0 1 0", allowed},
    {"IRIW+rel+acq", "x=1 rel | r=x acq; r=y acq | r=y acq; r=x acq | y=1 rel", "1 0 1 0", allowed},
    {"IRIW+sc", "x=1 sc | r=x sc; r=y sc | r=y sc; r=x sc | y=1 sc", "1 0 1 0", forbidden},
    {"IRIW+sc stores", "x=1 sc | r=x acq; r=y acq | r=y acq; r=x acq | y=1 sc", "1 0 1 0", allowed},
    {"IRIW+sc loads", "x=1 | r=x sc; r=y sc | r=y sc; r=x sc | y=1", "1 0 1 0", forbidden},
    {"IRIW+acq first, sc second", "x=1 sc | r=x acq; r=y sc | r=y acq; r=x sc | y=1 sc", "1 0 1 0", not_shown},
    // Two stores each.
    {"2+2W", "x=1; y=2 | y=1; x=2", "1 1", not_shown},
    {"2+2W+rel", "x=1 rel; y=2 rel | y=1 rel; x=2 rel", "1 1", not_shown},
    {"2+2W+sc", "x=1 sc; y=2 sc | y=1 sc; x=2 sc", "1 1", forbidden},
    // A store that another overtakes, and a read.
    {"R", "x=1; y=1 | y=2; r=x", "0 _ 2", allowed},
    {"R+rel+acq", "x=1 rel; y=1 rel | y=2 rel; r=x acq", "0 _ 2", allowed},
    {"R+sc", "x=1 sc; y=1 sc | y=2 sc; r=x sc", "0 _ 2", forbidden},
    {"R+sc on y", "x=1; y=1 sc | y=2 sc; r=x", "0 _ 2", allowed},
    {"S", "x=2; y=1 | r=y; x=1", "1 2 _", not_shown},
    {"S+rel+acq", "x=2; y=1 rel | r=y acq; x=1", "1 2 _", forbidden},
    {"S+sc", "x=2 sc; y=1 sc | r=y sc; x=1 sc", "1 2 _", forbidden},
    // Cause and effect over three threads.
    {"WRC", "x=1 | r=x; y=1 | r=y; r=x", "1 1 0", allowed},
    {"WRC+rel+acq", "x=1 rel | r=x acq; y=1 rel | r=y acq; r=x", "1 1 0", forbidden},
    {"WRC+second pair", "x=1 | r=x; y=1 rel | r=y acq; r=x", "1 1 0", forbidden},
    {"WRC+relaxed second", "x=1 rel | r=x acq; y=1 | r=y acq; r=x", "1 1 0", allowed},
    {"ISA2", "x=1; y=1 rel | r=y acq; z=1 rel | r=z acq; r=x", "1 1 0", forbidden},
    {"ISA2+first relaxed", "x=1; y=1 rel | r=y; z=1 rel | r=z acq; r=x", "1 1 0", allowed},
    {"ISA2+second relaxed", "x=1; y=1 rel | r=y acq; z=1 | r=z acq; r=x", "1 1 0", allowed},
    {"RWC", "x=1 rel | r=x acq; r=y acq | y=1 rel; r=x acq", "1 0 0", allowed},
    {"RWC+sc", "x=1 sc | r=x sc; r=y sc | y=1 sc; r=x sc", "1 0 0", forbidden},
    {"W+RWC", "x=1; y=1 rel | r=y acq; r=z acq | z=1 rel; r=x acq", "1 0 0", allowed},
    {"W+RWC+sc", "x=1 sc; y=1 sc | r=y sc; r=z sc | z=1 sc; r=x sc", "1 0 0", forbidden},
    {"Z6.U", "x=1 sc; y=1 rel | r=y+1 sc; r=y | y=3 sc; r=x sc", "1 3 0", not_shown},
    // Coherence: one location has one order, whatever the orders of its accesses.
    {"CoRR", "x=1 | r=x; r=x", "1 0", forbidden},
    {"CoRR, two readers", "x=1 | x=2 | r=x; r=x | r=x; r=x", "1 2 2 1", forbidden},
    {"CoRR, two old values", "x=1; x=2 | r=x; r=x", "0 1", allowed},
    {"CoRR, far behind", "x=1; x=2 | r=x; r=x", "0 0", allowed},
    {"CoWR", "x=1; r=x | x=2", "0", forbidden},
    {"CoWR, other", "x=1; r=x | x=2", "2 1", forbidden},
    {"CoWW", "x=1; x=2 | r=x", "_ 1", forbidden},
    {"CoRW", "r=x; x=1 | x=2", "1", forbidden},
    {"CoRW, other", "r=x; x=1 | x=2", "2 2", forbidden},
    {"CoRR through another location", "x=1 | r=x; y=1 rel | r=y acq; r=x", "1 1 0", forbidden},
    // Read-modify-writes read the last value.
    {"RMW", "r=x+1 | r=x+1", "0 0", forbidden},
    {"RMW, three", "r=x+1 | r=x+1 | r=x+1", "_ _ _ 2", forbidden},
    {"RMW, exchanges", "r=x:1 | r=x:2", "2 1", forbidden},
    {"CAS, both", "r=x?0:1 | r=x?0:2", "0 0", forbidden},
    {"CAS, one", "r=x?0:1 | r=x?0:2", "0 1", allowed},
    {"CAS fails on an old value", "x=1; x=2 | r=x?2:3", "1 2", allowed},
    {"CAS and store", "x=1 | r=x?0:2", "0 2", forbidden},
    {"RMW and store between", "x=5 | r=x+1", "0 1", forbidden},
};

Outcome numbers(const char* text, std::set<std::size_t>& any) {
  std::istringstream words(text);
  Outcome outcome;
  for (std::string word; words >> word;) {
    if (word == "_") any.insert(outcome.size());
    outcome.push_back(word == "_" ? 0 : std::stoi(word));
  }
  return outcome;
}

// Whether one of the outcomes begins with what the table says.
bool has(const std::set<Outcome>& seen, const char* text) {
  std::set<std::size_t> any;
  const Outcome wanted = numbers(text, any);
  for (const Outcome& outcome : seen) {
    bool same = true;
    for (std::size_t at = 0; at != wanted.size(); ++at)
      same = same && (any.count(at) != 0 || outcome.at(at) == wanted[at]);
    if (same) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("explorer: litmus tests have the outcomes of C++20", "[explore]") {
  static_assert(std::size(table) >= 60);
  std::set<std::string> names;
  for (const Litmus& litmus : table) {
    INFO(litmus.name << ": " << litmus.program << " -> " << litmus.outcome);
    CHECK(names.insert(litmus.name).second);
    const Outcomes reduced = outcomes_of(litmus.program);
    CHECK(reduced.found.report().find("not all") == std::string::npos);
    REQUIRE(reduced.found.passed());
    CHECK(has(reduced.seen, litmus.outcome) == (litmus.verdict == allowed));
    ExploreOptions options;
    options.search = ExploreOptions::Search::plain;
    const Outcomes plain = outcomes_of(litmus.program, options);
    CHECK(reduced.seen == plain.seen);
    CHECK(reduced.found.executions <= plain.found.executions);
  }
}
