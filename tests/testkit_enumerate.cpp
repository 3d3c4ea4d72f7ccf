// The enumerator itself, on machines of which the numbers are known.
#include "assay_testkit/dies.hpp"
#include "assay_testkit/enumerate.hpp"

#include <catch2/catch_test_macros.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using namespace assay::testkit;

// A counter that goes up and down between 0 and a limit.
struct CounterModel {
  enum Op : std::uint8_t { up, down, reset };

  explicit CounterModel(std::uint8_t option) : most(option) {}
  bool allows(const Step& step) const { return step.op == up ? value < most : step.op == down ? value > 0 : true; }
  void apply(const Step& step) { value = step.op == up ? value + 1 : step.op == down ? value - 1 : 0; }

  int most;
  int value = 0;
};

// What the systems of a test did.
struct Book {
  std::uint64_t made = 0;
  std::uint64_t runs = 0;
  std::vector<std::uint8_t> last;  // the operations of the newest system
};
Book book;  // reset by each test

enum class Bug : std::uint8_t { none, third_down, leaks_at_three, throws_at_two, aborts_at_two };

template <Bug bug>
class CounterSystem {
 public:
  CounterSystem(Ledger& ledger, const CounterModel& model) : ledger_(ledger), value_(model.value) {
    ++book.made;
    book.last.clear();
    ++ledger_.values_made;
  }
  CounterSystem(const CounterSystem&) = delete;
  CounterSystem& operator=(const CounterSystem&) = delete;
  ~CounterSystem() {
    if (bug != Bug::leaks_at_three || most_ < 3) ++ledger_.values_destroyed;
  }

  void run(const Step& step, const CounterModel&) {
    ++book.runs;
    book.last.push_back(step.op);
    if (step.op == CounterModel::up) ++value_;
    if (step.op == CounterModel::down && !(bug == Bug::third_down && ++downs_ == 3)) --value_;
    if (step.op == CounterModel::reset) value_ = 0;
    most_ = std::max(most_, value_);
    if (bug == Bug::throws_at_two && value_ == 2) throw std::runtime_error("two is too many");
    if (bug == Bug::aborts_at_two && value_ == 2) std::abort();
  }
  void compare(const CounterModel& model) const { expect(value_ == model.value, "the value"); }

 private:
  Ledger& ledger_;
  int value_;
  int most_ = 0;
  int downs_ = 0;
};

// Never more than a hundred: up is always possible.
Scope<CounterModel> counter_scope(unsigned depth, std::uint8_t most = 100) {
  Scope<CounterModel> scope;
  scope.name = "counter";
  scope.option = most;
  scope.depth = depth;
  scope.operations = {{"up", {Step{CounterModel::up}}}, {"down", {Step{CounterModel::down}}}, {"reset", {Step{CounterModel::reset}}}};
  scope.key = [](const CounterModel& model) { return std::to_string(model.value); };
  return scope;
}

// How many sequences of up and down of this length never go below 0: central binomial coefficients.
std::uint64_t paths_above_zero(unsigned length) {
  std::uint64_t result = 1;
  for (unsigned i = 1; i <= length / 2; ++i) result = result * (length - i + 1) / i;
  return result;
}

TEST_CASE("an enumeration runs each sequence once, from its beginning", "[testkit]") {
  book = Book{};
  Scope<CounterModel> scope = counter_scope(5);
  // Of two operations that are always possible: 2 + 4 + ... + 32 sequences, of 1, 2, ... 5 steps.
  scope.operations = {scope.operations.at(0), scope.operations.at(2)};
  const Enumerated found = enumerate<CounterModel, CounterSystem<Bug::none>>(scope);
  CHECK_FALSE(found.failed);
  CHECK(found.sequences == 62);
  CHECK(found.steps == 2 * 1 + 4 * 2 + 8 * 3 + 16 * 4 + 32 * 5);
  CHECK(found.states == 6);  // 0 to 5
  CHECK(found.depth == 5);
  CHECK(found.pruned == 0);
  CHECK(book.made == found.sequences);
  CHECK(book.runs == found.steps);
  CHECK(book.last == std::vector<std::uint8_t>(5, CounterModel::reset));  // the last sequence of all
}

TEST_CASE("an enumeration leaves out what is not possible and not wanted", "[testkit]") {
  Scope<CounterModel> scope = counter_scope(9);
  scope.operations.pop_back();
  std::uint64_t expected = 0;
  for (unsigned length = 1; length <= 9; ++length) expected += paths_above_zero(length);
  CHECK(enumerate<CounterModel, CounterSystem<Bug::none>>(scope).sequences == expected);

  scope.operations.at(1).is_wanted = [](const CounterModel&) { return false; };
  CHECK(enumerate<CounterModel, CounterSystem<Bug::none>>(scope).sequences == 9);
}

TEST_CASE("an operation of several steps is possible where all of them are", "[testkit]") {
  Scope<CounterModel> scope = counter_scope(3, 5);
  scope.operations = {{"two up", {Step{CounterModel::up}, Step{CounterModel::up}}}};
  const Enumerated found = enumerate<CounterModel, CounterSystem<Bug::none>>(scope);
  CHECK(found.sequences == 2);  // a third time goes beyond 5
  CHECK(found.steps == 2 + 4);
  CHECK(found.states == 3);
  CHECK(found.depth == 3);
}

TEST_CASE("a prologue comes before each sequence", "[testkit]") {
  book = Book{};
  Scope<CounterModel> scope = counter_scope(1);
  scope.prologue = {Step{CounterModel::up}, Step{CounterModel::up}};
  const Enumerated found = enumerate<CounterModel, CounterSystem<Bug::none>>(scope);
  CHECK(found.sequences == 3);
  CHECK(found.steps == 3);
  CHECK(book.runs == 9);
  CHECK(found.states == 4);  // 2, and 1, 3, 0
}

TEST_CASE("an enumeration by states goes on once from each state, and ends when there is nothing new", "[testkit]") {
  Scope<CounterModel> scope = counter_scope(100, 4);
  scope.prune = true;
  const Enumerated found = enumerate<CounterModel, CounterSystem<Bug::none>>(scope);
  // From each of 0 to 4 once: up where it is below 4, down where it is above 0, and reset.
  CHECK(found.sequences == 4 + 4 + 5);
  CHECK(found.states == 5);
  CHECK(found.pruned == found.sequences - 4);  // all but the four that reached 1, 2, 3, 4 first
  CHECK(found.depth == 5);                     // the sequences that reached nothing new
}

TEST_CASE("a bug that needs a certain depth is found there and not before", "[testkit]") {
  // up, up, up, down, down, down: no shorter one goes down three times.
  const auto run = [](unsigned depth) { return enumerate<CounterModel, CounterSystem<Bug::third_down>>(counter_scope(depth)); };
  CHECK_FALSE(run(5).failed);
  const Enumerated found = run(6);
  REQUIRE(found.failed);
  CHECK(found.why == "the value");
  CHECK(found.failing == std::vector<std::string>{"up", "up", "up", "down", "down", "down"});
  CHECK(found.depth == 6);
  CHECK(run(9).failing == found.failing);  // the shortest, however deep it may go

  // By states it is missed, since the model does not know what the bug depends on: how often it went down.
  Scope<CounterModel> by_states = counter_scope(30, 5);
  by_states.prune = true;
  CHECK_FALSE(enumerate<CounterModel, CounterSystem<Bug::third_down>>(by_states).failed);
}

TEST_CASE("what is left over, and what is thrown, fails a sequence", "[testkit]") {
  const Enumerated leak = enumerate<CounterModel, CounterSystem<Bug::leaks_at_three>>(counter_scope(4));
  REQUIRE(leak.failed);
  CHECK(leak.failing == std::vector<std::string>{"up", "up", "up"});
  CHECK(leak.why == "left over at the end: 1 values alive; ");

  const Enumerated thrown = enumerate<CounterModel, CounterSystem<Bug::throws_at_two>>(counter_scope(4));
  REQUIRE(thrown.failed);
  CHECK(thrown.failing == std::vector<std::string>{"up", "up"});
  CHECK(thrown.why == "two is too many");
}

TEST_CASE("a failing sequence can be replayed by its names", "[testkit]") {
  const Scope<CounterModel> scope = counter_scope(1);
  using Run = Enumeration<CounterModel, CounterSystem<Bug::throws_at_two>>;
  CHECK_FALSE(Run(scope).replay({"up", "down", "up"}).failed);
  const Enumerated found = Run(scope).replay({"up", "down", "up", "up", "reset"});
  CHECK(found.failed);
  CHECK(found.failing.size() == 4);
  CHECK(Run(scope).replay({"down"}).why == "'down' is not possible here");
  CHECK(Run(scope).replay({"sideways"}).why == "there is no operation 'sideways'");
}

TEST_CASE("a system that aborts leaves its sequence on stderr, and a program that fails says so", "[testkit]") {
  const auto program = [](auto system, std::vector<std::string> words) {
    return run_in_child([&] {
      std::vector<char*> arguments;
      words.insert(words.begin(), "scope_counter");
      for (std::string& word : words) arguments.push_back(word.data());
      ::dup2(STDERR_FILENO, STDOUT_FILENO);
      const int code = scope_main<CounterModel, typename decltype(system)::type>(static_cast<int>(words.size()), arguments.data(),
                                                                                 {counter_scope(3)});
      std::fflush(stdout);
      ::_exit(code);
    });
  };
  const auto contains = [](const Death& death, const char* text) { return death.standard_error.find(text) != std::string::npos; };

  const Death aborted = program(std::type_identity<CounterSystem<Bug::aborts_at_two>>{}, {});
  CHECK(aborted.aborted);
  CHECK(contains(aborted, "scope counter: ended in: up, up\n"));

  const Death failed = program(std::type_identity<CounterSystem<Bug::throws_at_two>>{}, {});
  CHECK(failed.exit_code == 1);
  CHECK(contains(failed, "scope counter: FAIL after: up, up\n  two is too many\n"));

  CHECK(program(std::type_identity<CounterSystem<Bug::throws_at_two>>{}, {"--depth", "1"}).exit_code == 0);
  CHECK(program(std::type_identity<CounterSystem<Bug::none>>{}, {}).exit_code == 0);
  CHECK(program(std::type_identity<CounterSystem<Bug::none>>{}, {"--depth", "none"}).exit_code == 2);
  CHECK(program(std::type_identity<CounterSystem<Bug::throws_at_two>>{}, {"--replay", "counter", "up, up"}).exit_code == 1);
  CHECK(program(std::type_identity<CounterSystem<Bug::throws_at_two>>{}, {"--replay", "counter", "up, down"}).exit_code == 0);
  CHECK(program(std::type_identity<CounterSystem<Bug::none>>{}, {"--replay", "other", "up"}).exit_code == 2);
}

TEST_CASE("a report is one line, and says which sequence failed", "[testkit]") {
  Enumerated found;
  found.depth = 3;
  found.sequences = 12;
  found.steps = 30;
  found.states = 4;
  found.seconds = 1.26;
  CHECK(report_of("x", false, found) == "scope x: depth 3, 12 sequences, 30 steps, 4 states, 1.3 s\n");
  found.pruned = 7;
  CHECK(report_of("x", true, found) == "scope x: depth 3, 12 sequences, 30 steps, 4 states, 7 pruned, 1.3 s\n");
  found.failed = true;
  found.failing = {"up", "down"};
  found.why = "the value";
  CHECK(report_of("x", false, found) == "scope x: depth 3, 12 sequences, 30 steps, 4 states, 1.3 s\n"
                                        "scope x: FAIL after: up, down\n  the value\n");
}

}  // namespace
