// What an executor holds and has done, compared and printed as one value:
//
//   CHECK(state_of(executor) == State{.timers = 1, .tasks = 1, .polls = 1});
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>

#include "assay/executor.hpp"

namespace assay::test {

struct State {
  std::size_t timers = 0;
  std::size_t fds = 0;
  std::size_t tasks = 0;  // whose memory is in use
  std::uint64_t polls = 0;
  std::uint64_t completed = 0;
  std::uint64_t threw = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t stranded = 0;

  friend bool operator==(const State&, const State&) = default;
  friend std::ostream& operator<<(std::ostream& out, const State& state) {
    return out << "{timers " << state.timers << ", fds " << state.fds << ", tasks " << state.tasks << ", polls "
               << state.polls << ", completed " << state.completed << ", threw " << state.threw << ", cancelled "
               << state.cancelled << ", stranded " << state.stranded << "}";
  }
};

// Also aborts unless the executor's structures are sound.
inline State state_of(Executor& executor) {
  executor.check_deep();
  const ExecutorStats& stats = executor.stats();
  return State{executor.timers().size(), executor.reactor().size(),
               executor.live_tasks(),    stats.polls,
               stats.completed,          stats.threw,
               stats.cancelled,          stats.stranded};
}

}  // namespace assay::test
