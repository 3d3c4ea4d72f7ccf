// Exhaustive small scopes: every sequence of operations up to a depth, each on a fresh system and checked after each step
// against the model. What fails is printed as the shortest sequence that does, by the names of its operations.
//
//   Scope<SlabModel> scope;
//   scope.name = "slab";
//   scope.operations = {{"take 0", {Step{SlabModel::take, 0, 1}}}, {"release 0", {Step{SlabModel::release, 0}}}};
//   scope.depth = 7;
//   return scope_main<SlabModel, SlabSystem>(argc, argv, {scope});
//
// Model, System and Step are those of models/step.hpp, which properties and fuzz targets use too. A model may be any class that
// can be copied, a system any class that has run() and compare().
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

// One thing that can be done. Its steps are one operation: they count as one in the depth.
template <class Model>
struct Operation {
  std::string name;  // unique in its scope, without commas
  std::vector<Step> steps;
  // Whether it is to be tried in this state, besides that the model allows each step. Empty: always. To leave out what is the
  // same but for names (the second of two empty places), and to bound what would grow without end.
  std::function<bool(const Model&)> is_wanted{};
};

// What is to be enumerated.
template <class Model>
struct Scope {
  std::string name;
  std::uint8_t option = 0;                     // of the model
  std::vector<Step> prologue{};                // done before each sequence, not counted
  std::vector<Operation<Model>> operations{};  // at most 255
  unsigned depth = 1;                          // of the longest sequences
  // Names the state of the model, so that distinct ones can be counted. Empty: they are not.
  std::function<std::string(const Model&)> key{};
  // Goes on only from the first, shortest sequence that reaches each state. All states and all transitions between them are seen
  // that way, and far deeper; but a system may hide what its model does not know: enumerate without it too.
  bool prune = false;
};

struct Enumerated {
  std::uint64_t sequences = 0;  // each of a length of 1 to `depth`, run from its beginning
  std::uint64_t steps = 0;      // done on a system, prologues not counted
  std::uint64_t states = 0;     // distinct ones of the model, the first included
  std::uint64_t pruned = 0;     // sequences that reached a known state, and were not gone on from
  unsigned depth = 0;           // as asked; less where nothing was left to go on from
  double seconds = 0;
  bool failed = false;
  std::vector<std::string> failing;  // the shortest sequence that fails
  std::string why;
};

namespace enumerating {

// The sequence that runs now: printed when the system aborts or crashes, which ends the enumeration.
inline std::string& running_sequence() {
  static std::string text;
  return text;
}
inline bool& prints_on_abort() {
  static bool prints = false;
  return prints;
}

extern "C" inline void assay_testkit_print_sequence(int signal) {
  const std::string& text = running_sequence();
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace enumerating

// Runs every sequence of a scope, the short ones first. One thread; time grows with the number of sequences times their length,
// memory with the number of sequences that are one operation shorter than the longest.
template <class Model, class System>
class Enumeration {
 public:
  explicit Enumeration(const Scope<Model>& scope) : scope_(scope) {}

  Enumerated run() {
    const auto start = std::chrono::steady_clock::now();
    const Model first = initial();
    if (scope_.key) states_.insert(scope_.key(first));
    Paths paths(1);  // of length 0
    for (unsigned length = 0; length < scope_.depth && !paths.empty(); ++length) {
      is_last_ = length + 1 == scope_.depth;
      Paths next;
      for (const Path& path : paths) {
        extend(path, next);
        if (result_.failed) break;
      }
      result_.depth = length + 1;
      if (result_.failed) break;
      paths = std::move(next);
    }
    result_.states = states_.size();
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

  // Runs one sequence, by the names of its operations.
  Enumerated replay(const std::vector<std::string>& names) {
    Model model = initial();
    const auto named = [&](const std::string& name) {
      return std::find_if(scope_.operations.begin(), scope_.operations.end(), [&](const auto& each) { return each.name == name; });
    };
    Path path;
    for (const std::string& name : names) {
      const auto found = named(name);
      if (found == scope_.operations.end() || !is_possible(*found, model)) {
        result_.failed = true;
        result_.failing = names;
        result_.why = found == scope_.operations.end() ? "there is no operation '" + name + "'" : "'" + name + "' is not possible here";
        return std::move(result_);
      }
      path += static_cast<char>(found - scope_.operations.begin());
      apply(*found, model);
      result_.depth = static_cast<unsigned>(path.size());
      check(path);
      if (result_.failed) break;
    }
    return std::move(result_);
  }

 private:
  using Path = std::string;  // numbers of operations
  using Paths = std::vector<Path>;

  const Operation<Model>& operation(char number) const { return scope_.operations.at(static_cast<unsigned char>(number)); }

  Model initial() const {
    Model model(scope_.option);
    for (const Step& step : scope_.prologue) {
      expect(model.allows(step), "testkit: a scope's prologue is not possible");
      model.apply(step);
    }
    return model;
  }
  static void apply(const Operation<Model>& what, Model& model) {
    for (const Step& step : what.steps) model.apply(step);
  }
  static bool is_possible(const Operation<Model>& what, const Model& model) {
    if (what.is_wanted && !what.is_wanted(model)) return false;
    if (!model.allows(what.steps.front())) return false;
    if (what.steps.size() == 1) return true;
    Model after = model;
    for (const Step& step : what.steps) {
      if (!after.allows(step)) return false;
      after.apply(step);
    }
    return true;
  }

  void extend(const Path& path, Paths& next) {
    Model model = initial();
    for (const char number : path) apply(operation(number), model);
    for (std::size_t number = 0; number < scope_.operations.size(); ++number) {
      const Operation<Model>& what = scope_.operations.at(number);
      if (!is_possible(what, model)) continue;
      Path longer = path + static_cast<char>(number);
      check(longer);
      if (result_.failed) return;
      bool is_new = true;
      if (scope_.key) {
        Model after = model;
        apply(what, after);
        is_new = states_.insert(scope_.key(after)).second;
      }
      if (is_last_) continue;
      if (scope_.prune && !is_new) {
        ++result_.pruned;
      } else {
        next.push_back(std::move(longer));
      }
    }
  }

  std::vector<std::string> names_of(const Path& path) const {
    std::vector<std::string> names;
    for (const char number : path) names.push_back(operation(number).name);
    return names;
  }

  // Runs a sequence from its beginning on a fresh system. All but its last operation have been compared before: they were a
  // sequence of their own.
  void check(const Path& path) {
    ++result_.sequences;
    if (enumerating::prints_on_abort()) {
      enumerating::running_sequence() = "scope " + scope_.name + ": ended in: " + enumerating::joined(names_of(path)) + "\n";
    }
    try {
      Ledger ledger;
      {
        Model model(scope_.option);
        System system(ledger, model);
        for (const Step& step : scope_.prologue) do_step(step, model, system);
        for (std::size_t at = 0; at < path.size(); ++at) {
          for (const Step& step : operation(path[at]).steps) {
            do_step(step, model, system);
            ++result_.steps;
            if (at + 1 == path.size()) system.compare(model);
          }
        }
      }
      if (!ledger.leftovers().empty()) fail(path, "left over at the end: " + ledger.leftovers());
    } catch (const std::exception& error) {
      fail(path, error.what());
    }
  }
  static void do_step(const Step& step, Model& model, System& system) {
    model.apply(step);
    system.run(step, model);
  }
  void fail(const Path& path, const std::string& why) {
    result_.failed = true;
    result_.failing = names_of(path);
    result_.why = why;
  }

  Scope<Model> scope_;
  Enumerated result_;
  std::unordered_set<std::string> states_;
  bool is_last_ = false;
};

// Runs every sequence of the scope. A Mismatch, any other exception, and what the Ledger has left fail a sequence; the first that
// fails ends it, and is one of the shortest.
template <class Model, class System>
Enumerated enumerate(const Scope<Model>& scope) {
  return Enumeration<Model, System>(scope).run();
}

// One line, as `scope slab: depth 7, 10 sequences, 55 steps, 9 states, 0.1 s`, and what failed in a second one.
inline std::string report_of(const std::string& name, bool prune, const Enumerated& found) {
  const auto seconds = static_cast<std::uint64_t>(found.seconds * 10 + 0.5);
  std::string text = "scope " + name + ": depth " + std::to_string(found.depth) + ", " + std::to_string(found.sequences) +
                     " sequences, " + std::to_string(found.steps) + " steps, " + std::to_string(found.states) + " states, ";
  if (prune) text += std::to_string(found.pruned) + " pruned, ";
  text += std::to_string(seconds / 10) + "." + std::to_string(seconds % 10) + " s\n";
  if (found.failed) text += "scope " + name + ": FAIL after: " + enumerating::joined(found.failing) + "\n  " + found.why + "\n";
  return text;
}

// main() of a program that runs some scopes. `--depth N`: to another depth, all of them. `--replay SCOPE "a, b, c"`: one sequence of
// one of them. Exit code 1: something failed; 2: unknown words.
template <class Model, class System>
int scope_main(int count, char** words, const std::vector<Scope<Model>>& scopes) {
  const std::vector<std::string> arguments(words + 1, words + count);
  enumerating::prints_on_abort() = true;
  std::signal(SIGABRT, enumerating::assay_testkit_print_sequence);
  std::signal(SIGSEGV, enumerating::assay_testkit_print_sequence);
  bool failed = false;
  const auto tell = [&](const Scope<Model>& scope, const Enumerated& found) {
    std::fputs(report_of(scope.name, scope.prune, found).c_str(), stdout);
    std::fflush(stdout);
    failed |= found.failed;
  };
  if (arguments.size() == 3 && arguments.at(0) == "--replay") {
    std::vector<std::string> names;
    std::string_view rest = arguments.at(2);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(", "), rest.size());
      names.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 2, rest.size()));
    }
    const auto found = std::find_if(scopes.begin(), scopes.end(), [&](const auto& each) { return each.name == arguments.at(1); });
    if (found == scopes.end()) {
      std::fprintf(stderr, "there is no scope '%s'\n", arguments.at(1).c_str());
      return 2;
    }
    tell(*found, Enumeration<Model, System>(*found).replay(names));
    return failed ? 1 : 0;
  }
  int depth = 0;
  if (arguments.size() == 2 && arguments.at(0) == "--depth") depth = std::atoi(arguments.at(1).c_str());
  if (!arguments.empty() && depth <= 0) {
    std::fprintf(stderr, "usage: %s [--depth N | --replay SCOPE \"operation, operation\"]\n", words[0]);
    return 2;
  }
  for (Scope<Model> scope : scopes) {
    if (depth > 0) scope.depth = static_cast<unsigned>(depth);
    tell(scope, enumerate<Model, System>(scope));
  }
  return failed ? 1 : 0;
}

}  // namespace assay::testkit
