// The interleaving explorer against two others, on random small programs: the reduced search has exactly the outcomes
// of a plain one, under the rules of C++20; and a plain one under Relacy's rules (memory.hpp: Dialect) has exactly the
// outcomes of Relacy. So the reduction loses nothing, and what one operation may read and what then happens before what
// is what another tool, by another author, holds for right.
//
// usage: explorer_random_programs [--programs N] [--seed N]     (10,000 and 1)
#include "by_relacy.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "programs.hpp"

namespace {

using namespace assay::test;
using assay::testkit::ExploreOptions;
using assay::testkit::modelled::Order;

constexpr std::uint64_t most_executions = 10'000;  // of one program, plain: larger ones are left out

// Two or three threads of up to three operations, on up to two variables; in some programs threads do a part of them
// under a mutex. Every store has a value of its own.
Program random_program(std::uint64_t seed) {
  std::mt19937_64 source(seed);
  const auto below = [&](int bound) { return static_cast<int>(source() % static_cast<std::uint64_t>(bound)); };
  Program program;
  program.variables = std::string("xy").substr(0, static_cast<std::size_t>(1 + below(2)));
  const int threads = 2 + below(2);
  const bool is_mostly_seq_cst = below(3) == 0;
  const bool has_mutex = below(4) == 0;
  int value = 0;
  for (int thread = 0; thread != threads; ++thread) {
    program.threads.emplace_back();
    for (int left = 1 + below(3); left != 0; --left) {
      constexpr Step::Kind kinds[] = {Step::Kind::load,  Step::Kind::load,     Step::Kind::load,
                                      Step::Kind::store, Step::Kind::store,    Step::Kind::store,
                                      Step::Kind::add,   Step::Kind::exchange, Step::Kind::compare};
      Step step;
      step.kind = kinds[below(9)];
      step.variable = static_cast<std::size_t>(below(static_cast<int>(program.variables.size())));
      step.operand = ++value;
      step.expected = below(3) == 0 ? 0 : 1 + below(value);
      const int strength = is_mostly_seq_cst && below(2) == 0 ? 2 : below(3);
      step.order =
          strength == 2                   ? Order::seq_cst
          : strength == 0                 ? Order::relaxed
          : step.kind == Step::Kind::load ? Order::acquire
          : step.kind == Step::Kind::store
              ? Order::release
              : std::array{Order::acquire, Order::release, Order::acq_rel}.at(static_cast<std::size_t>(below(3)));
      program.threads.back().push_back(step);
    }
    if (has_mutex && below(3) != 0) {
      std::vector<Step>& steps = program.threads.back();
      const auto first = below(static_cast<int>(steps.size()));
      const auto last = first + 1 + below(static_cast<int>(steps.size()) - first);
      Step step;
      step.kind = Step::Kind::unlock;
      steps.insert(steps.begin() + last, step);
      step.kind = Step::Kind::lock;
      steps.insert(steps.begin() + first, step);
    }
  }
  return program;
}

struct Totals {
  std::uint64_t programs = 0, left_out = 0, differ = 0, outcomes = 0, reduced = 0, pruned = 0, plain = 0, relacy = 0;
};

void differ(Totals& totals, const Program& program, const char* what, const std::set<Outcome>& a,
            const std::set<Outcome>& b) {
  ++totals.differ;
  std::printf("%s: %zu and %zu outcomes of\n  %s\n", what, a.size(), b.size(), text_of(program).c_str());
}

void look_at(const Program& program, Totals& totals) {
  ExploreOptions options;
  options.search = ExploreOptions::Search::plain;
  options.executions = most_executions;
  const Outcomes plain = outcomes_of(program, options);
  if (!plain.found.complete) {
    ++totals.left_out;
    return;
  }
  const Outcomes reduced = outcomes_of(program);
  if (reduced.seen != plain.seen || !reduced.found.complete)
    differ(totals, program, "reduced and plain", reduced.seen, plain.seen);
  options.dialect = assay::testkit::explorer::Dialect::relacy;
  options.executions = 0;
  const Outcomes same_rules = outcomes_of(program, options);
  const RelacyOutcomes relacy = outcomes_by_relacy(program, 100 * most_executions);
  if (same_rules.seen != relacy.seen || !relacy.complete)
    differ(totals, program, "plain by Relacy's rules and Relacy", same_rules.seen, relacy.seen);
  ++totals.programs;
  totals.outcomes += plain.seen.size();
  totals.reduced += reduced.found.executions;
  totals.pruned += reduced.found.pruned;
  totals.plain += plain.found.executions;
  totals.relacy += relacy.executions;
}

}  // namespace

int main(int count, char** words) {
  std::uint64_t programs = 10'000;
  std::uint64_t seed = 1;
  for (int at = 1; at < count; ++at) {
    const std::string_view word = words[at];
    const bool has_number = at + 1 < count && words[at + 1][0] >= '0' && words[at + 1][0] <= '9';
    if ((word != "--programs" && word != "--seed") || !has_number) {
      std::fprintf(stderr, "usage: explorer_random_programs [--programs N] [--seed N]\n");
      return 2;
    }
    (word == "--seed" ? seed : programs) = std::strtoull(words[++at], nullptr, 10);
  }
  Totals totals;
  for (; totals.programs + totals.differ < programs && totals.differ < 5; ++seed) look_at(random_program(seed), totals);
  using Number = unsigned long long;
  std::printf(
      "explorer, random programs: %s  %llu programs (%llu too large), %llu outcomes, %llu differ; executions: %llu "
      "reduced and %llu given up, %llu plain, %llu by Relacy\n",
      totals.differ == 0 ? "PASS" : "FAIL", Number{totals.programs}, Number{totals.left_out}, Number{totals.outcomes},
      Number{totals.differ}, Number{totals.reduced}, Number{totals.pruned}, Number{totals.plain},
      Number{totals.relacy});
  return totals.differ == 0 ? 0 : 1;
}
