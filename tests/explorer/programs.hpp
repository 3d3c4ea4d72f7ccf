// Small programs as text, run by the interleaving explorer: "x=1; y=1 rel | r=y acq; r=x".
//
// Threads are separated by `|`, operations by `;`. The variables are x, y and z, and begin with 0. An order is acq,
// rel, ar or sc, and relaxed when there is none.
//     x=1         store
//     r=x         load, into the next register
//     r=x+1       fetch_add, into the next register
//     r=x:1       exchange, into the next register
//     r=x?0:1     compare_exchange_strong, from 0 to 1: what it found goes into the next register
//     lock        the one mutex; unlock gives it back
// The outcome of an execution is the registers, in the order of the text, and then the last values of the variables, in
// the order of their letters.
#pragma once

#include <array>
#include <cctype>
#include <cstddef>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "assay_testkit/explore/explore.hpp"

namespace assay::test {

struct Step {
  enum class Kind { load, store, add, exchange, compare, lock, unlock } kind = Kind::load;
  testkit::modelled::Order order = testkit::modelled::Order::relaxed;
  std::size_t variable = 0;
  int operand = 0;
  int expected = 0;
};

struct Program {
  std::vector<std::vector<Step>> threads;
  std::string variables;  // their letters, sorted
};

using Outcome = std::vector<int>;

// Of a compare-exchange that finds something else: the part of the order that a load can have.
constexpr testkit::modelled::Order failure_order(testkit::modelled::Order order) {
  using testkit::modelled::Order;
  return order == Order::acq_rel ? Order::acquire : order == Order::release ? Order::relaxed : order;
}

inline std::string text_of(const Program& program) {
  std::string text;
  for (const std::vector<Step>& thread : program.threads) {
    text += text.empty() ? "" : " | ";
    for (const Step& step : thread) {
      if (&step != &thread.front()) text += "; ";
      const std::string variable(1, program.variables[step.variable]);
      const std::string operand = std::to_string(step.operand);
      switch (step.kind) {
        case Step::Kind::load:
          text += "r=" + variable;
          break;
        case Step::Kind::store:
          text += variable + "=" + operand;
          break;
        case Step::Kind::add:
          text += "r=" + variable + "+" + operand;
          break;
        case Step::Kind::exchange:
          text += "r=" + variable + ":" + operand;
          break;
        case Step::Kind::compare:
          text += "r=" + variable + "?" + std::to_string(step.expected) + ":" + operand;
          break;
        case Step::Kind::lock:
          text += "lock";
          break;
        case Step::Kind::unlock:
          text += "unlock";
          break;
      }
      constexpr const char* orders[] = {"", " acq", " rel", " ar", " sc"};
      text += orders[static_cast<int>(step.order)];
    }
  }
  return text;
}

class ProgramReader {
 public:
  explicit ProgramReader(std::string_view text) : rest_(text) {}

  Program read() {
    for (char letter : rest_) {
      if (letter >= 'x' && letter <= 'z') letters_.insert(letter);
    }
    program_.variables.assign(letters_.begin(), letters_.end());
    do {
      program_.threads.emplace_back();
      do program_.threads.back().push_back(step());
      while (take(';'));
    } while (take('|'));
    if (!rest_.empty()) wrong();
    return program_;
  }

 private:
  [[noreturn]] void wrong() const { throw std::runtime_error("not a program: ..." + std::string(rest_)); }
  void skip() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool take(char letter) {
    skip();
    if (rest_.empty() || rest_.front() != letter) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    skip();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  int number() {
    skip();
    int value = 0;
    if (rest_.empty() || std::isdigit(static_cast<unsigned char>(rest_.front())) == 0) wrong();
    for (; !rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front())) != 0; rest_.remove_prefix(1))
      value = value * 10 + (rest_.front() - '0');
    return value;
  }
  std::size_t variable() {
    skip();
    if (rest_.empty() || letters_.count(rest_.front()) == 0) wrong();
    const std::size_t at = program_.variables.find(rest_.front());
    rest_.remove_prefix(1);
    return at;
  }
  testkit::modelled::Order order() {
    using testkit::modelled::Order;
    if (take("acq")) return Order::acquire;
    if (take("rel")) return Order::release;
    if (take("ar")) return Order::acq_rel;
    if (take("sc")) return Order::seq_cst;
    return Order::relaxed;
  }
  Step step() {
    Step step;
    if (take("lock")) {
      step.kind = Step::Kind::lock;
    } else if (take("unlock")) {
      step.kind = Step::Kind::unlock;
    } else if (take("r=")) {
      step.variable = variable();
      if (take('+')) {
        step.kind = Step::Kind::add;
        step.operand = number();
      } else if (take(':')) {
        step.kind = Step::Kind::exchange;
        step.operand = number();
      } else if (take('?')) {
        step.kind = Step::Kind::compare;
        step.expected = number();
        if (!take(':')) wrong();
        step.operand = number();
      }
    } else {
      step.kind = Step::Kind::store;
      step.variable = variable();
      if (!take('=')) wrong();
      step.operand = number();
    }
    step.order = order();
    return step;
  }

  std::string_view rest_;
  std::set<char> letters_;
  Program program_;
};

struct Outcomes {
  std::set<Outcome> seen;
  testkit::Exploration found;
};

// All outcomes of the program that the search finds.
inline Outcomes outcomes_of(const Program& program, const testkit::ExploreOptions& options = {}) {
  using namespace testkit;
  Outcomes outcomes;
  outcomes.found = explore(
      [&] {
        std::vector<std::unique_ptr<modelled::Atomic<int>>> variables;
        for (std::size_t at = 0; at != program.variables.size(); ++at)
          variables.push_back(std::make_unique<modelled::Atomic<int>>(0));
        modelled::Mutex mutex;
        std::vector<Outcome> registers(program.threads.size());
        const auto run = [&](std::size_t thread) {
          for (const Step& step : program.threads[thread]) {
            modelled::Atomic<int>& variable = *variables[step.variable];
            Outcome& mine = registers[thread];
            switch (step.kind) {
              case Step::Kind::load:
                mine.push_back(variable.load(step.order));
                break;
              case Step::Kind::store:
                variable.store(step.operand, step.order);
                break;
              case Step::Kind::add:
                mine.push_back(variable.fetch_add(step.operand, step.order));
                break;
              case Step::Kind::exchange:
                mine.push_back(variable.exchange(step.operand, step.order));
                break;
              case Step::Kind::compare: {
                int found = step.expected;
                variable.compare_exchange_strong(found, step.operand, step.order, failure_order(step.order));
                mine.push_back(found);
                break;
              }
              case Step::Kind::lock:
                mutex.lock();
                break;
              case Step::Kind::unlock:
                mutex.unlock();
                break;
            }
          }
        };
        std::vector<modelled::Thread> threads;
        for (std::size_t thread = 1; thread != program.threads.size(); ++thread)
          threads.emplace_back([&run, thread] { run(thread); });
        run(0);
        for (modelled::Thread& thread : threads) thread.join();
        Outcome outcome;
        for (const Outcome& mine : registers) outcome.insert(outcome.end(), mine.begin(), mine.end());
        for (auto& variable : variables) outcome.push_back(variable->load(modelled::Order::relaxed));
        modelled::outside([&] { outcomes.seen.insert(outcome); });
      },
      options);
  return outcomes;
}

inline Outcomes outcomes_of(std::string_view text, const testkit::ExploreOptions& options = {}) {
  return outcomes_of(ProgramReader(text).read(), options);
}

}  // namespace assay::test
