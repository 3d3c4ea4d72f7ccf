// For tests that poll futures by hand, without an executor: a context around a waker that counts, and all short
// sequences of operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "assay/assay.hpp"
#include "assay_testkit/counting_waker.hpp"

namespace assay::test {

// What a Hand saw of its waker: wakes since the last look, and how many copies are kept now.
struct Seen {
  std::uint64_t wakes = 0;
  std::uint64_t kept = 0;

  friend bool operator==(const Seen&, const Seen&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Seen& seen) {
    return out << "{wakes=" << seen.wakes << " kept=" << seen.kept << '}';
  }
};

// Polls futures as a task would that has this waker. Outlives them.
class Hand {
 public:
  Hand() = default;
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

  template <class F>
  Poll<typename F::Output> poll(F& future) {
    Context context(waker_);
    return future.poll(context);
  }
  // For futures that need an executor: as one of its tasks would.
  template <class F>
  Poll<typename F::Output> poll(F& future, Executor& executor) {
    Context context(waker_.as_raw(), waker_.as_raw(), &executor);
    return future.poll(context);
  }
  // For futures of nothing.
  template <class F>
  bool is_ready(F& future) {
    return poll(future).is_ready();
  }

  Seen seen() {
    const std::uint64_t wakes = counting.wakes();
    return Seen{.wakes = wakes - std::exchange(wakes_, wakes), .kept = kept()};
  }
  std::uint64_t kept() const { return counting.clones() - counting.drops(); }

  testkit::CountingWaker counting{};

 private:
  const Waker waker_ = counting.waker();
  std::uint64_t wakes_ = 0;
};

// Calls run(sequence) for all sequences of `depth` operations 0 ... operations-1. `run` returns how many of them it
// did: one that makes no sense where it stands ends it, and all sequences that begin alike are left out. Returns how
// many ran.
template <class Run>
std::uint64_t for_each_sequence(unsigned operations, std::size_t depth, Run&& run) {
  std::vector<unsigned> sequence(depth, 0);
  for (std::uint64_t count = 1;; ++count) {
    std::size_t at = run(std::as_const(sequence));
    if (at >= depth) at = depth - 1;
    while (++sequence[at] == operations) {
      if (at == 0) return count;
      --at;
    }
    for (std::size_t rest = at + 1; rest < depth; ++rest) sequence[rest] = 0;
  }
}

// Ends the test case with the sequence so far, in words.
inline void fail_sequence(const char* const* names, const std::vector<unsigned>& sequence, std::size_t last,
                          const std::string& what) {
  std::ostringstream text;
  for (std::size_t i = 0; i <= last && i < sequence.size(); ++i) text << (i != 0 ? ", " : "") << names[sequence[i]];
  FAIL(text.str() << ": " << what);
}

}  // namespace assay::test
