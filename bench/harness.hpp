// The harness that all C++ contenders share: Google Benchmark runs a row, so often and with so many operations as the command
// line says, and gives each repetition to a reporter of ours. The rest is what the runner needs and the library has not: a
// command line that is the same for the Rust contenders (bench/rust/src/harness.rs is its twin), operation counts that come from
// the runner, since costs per operation are differences between two of them, and rows that say why they are left out.
//
// Command line of each program:
//   --list                  one line per row: `ROW<tab>STEP`, or `ROW<tab>-<tab>REASON` for a row that is left out
//   --row ROW               run this row
//   --operations N          so many operations (rounded up to a multiple of the row's STEP)
//   --repetitions K         so often
//   --count                 count allocations and bytes (slower; the times of such a run mean nothing)
//   --slowdown F            the program runs so many times slower than usual (valgrind): waits grow accordingly
// Prints one JSON object per row:
//   {"contender": "assay", "row": "yield/1", "operations": 1000, "ns": [TOTAL, ...], "allocations": [...], "bytes": [...]}
// with one entry per repetition, each for all operations together.
#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocations.hpp"

namespace bench {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// The compiler must assume that `value` is used, and changed.
template <class T>
inline void keep(T& value) {
  benchmark::DoNotOptimize(value);
  benchmark::ClobberMemory();
}

// Rows in which two threads or processes take turns: each side has a CPU of its own, the runtime the first that this program may
// use, its counterpart the second; with only one CPU, nothing is done. Otherwise the scheduler of the machine decides, once per
// run, whether the two share a core, and that is what would be measured.
inline bool has_counterpart(const std::string& row) {
  return row == "wake_parked" || row == "wake_parked_futex" || row == "wake_busy" || row.rfind("echo/", 0) == 0 ||
         row.find("_round_trip") != std::string::npos;
}
enum class Side { runtime, counterpart };
inline void pin(Side side) {
  static const std::vector<int> allowed = [] {
    cpu_set_t set;
    std::vector<int> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
  }();
  if (allowed.size() < 2) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(allowed[side == Side::runtime ? 0 : 1], &one);
  static_cast<void>(::sched_setaffinity(0, sizeof one, &one));  // where that is not allowed, it stays as it was
}

// Thrown by a row that this machine does not allow: the program says so and exits with 77.
class Skip : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One repetition of one row, as its body sees it.
class Run {
 public:
  Run(std::uint64_t operations, double slowdown) : operations_(operations), slowdown_(slowdown) {}

  std::uint64_t operations() const { return operations_; }
  double slowdown() const { return slowdown_; }

  // What is between the two is measured. Several such intervals add up.
  void start() {
    before_ = allocation_totals();
    begin_ = now_ns();
  }
  void stop() {
    nanoseconds_ += now_ns() - begin_;
    const AllocationTotals after = allocation_totals();
    allocations_ += after.allocations - before_.allocations;
    bytes_ += after.live_bytes - before_.live_bytes;
  }

  // For what is timed elsewhere: in another thread, in the client process.
  void add_nanoseconds(std::uint64_t nanoseconds) { nanoseconds_ += nanoseconds; }
  // As start and stop, for allocations alone.
  void start_counting() { before_ = allocation_totals(); }
  void stop_counting() {
    const AllocationTotals after = allocation_totals();
    allocations_ += after.allocations - before_.allocations;
    bytes_ += after.live_bytes - before_.live_bytes;
  }

  std::uint64_t nanoseconds() const { return nanoseconds_; }
  std::int64_t allocations() const { return allocations_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::uint64_t operations_;
  double slowdown_;
  std::uint64_t begin_ = 0;
  AllocationTotals before_;
  std::uint64_t nanoseconds_ = 0;
  std::int64_t allocations_ = 0;
  std::int64_t bytes_ = 0;
};

// A row: `body(run, parameter)` does run.operations() operations, a multiple of `step`.
struct Row {
  std::string name;
  void (*body)(Run&, std::uint64_t parameter);
  std::uint64_t parameter = 0;
  std::uint64_t step = 1;
  std::string left_out{};  // why this contender has no such row; `body` is null then
};
inline Row leave_out(std::string name, std::string reason) { return {std::move(name), nullptr, 0, 1, std::move(reason)}; }

// NAME/1000 to NAME/10000000: how a cost grows. An operation count is a multiple of `step_per_size` times the size; or, if
// that is 0, any number.
inline void add_sizes(std::vector<Row>& rows, const std::string& name, void (*body)(Run&, std::uint64_t),
                      std::uint64_t step_per_size) {
  for (std::uint64_t size = 1000; size <= 10'000'000; size *= 10) {
    rows.push_back({name + "/" + std::to_string(size), body, size, step_per_size == 0 ? 1 : step_per_size * size});
  }
}

inline void leave_out_sizes(std::vector<Row>& rows, const std::string& name, const std::string& reason) {
  for (std::uint64_t size = 1000; size <= 10'000'000; size *= 10) {
    rows.push_back(leave_out(name + "/" + std::to_string(size), reason));
  }
}

// Where the program lies, for its siblings.
inline std::string& program_folder() {
  static std::string folder;
  return folder;
}

namespace detail {

inline void print_all(const char* name, const std::vector<std::int64_t>& values) {
  std::printf(", \"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(values[i]));
  std::printf("]");
}

// One repetition. Manual time, because a row chooses what of it is measured; the counters are totals, as the JSON line is.
inline void repeat(benchmark::State& state, const Row& row, double slowdown) {
  const auto operations = static_cast<std::uint64_t>(state.max_iterations);
  while (state.KeepRunningBatch(state.max_iterations)) {
    Run run(operations, slowdown);
    row.body(run, row.parameter);
    state.SetIterationTime(static_cast<double>(run.nanoseconds()) * 1e-9);
    state.counters["ns"] = static_cast<double>(run.nanoseconds());
    state.counters["allocations"] = static_cast<double>(run.allocations());
    state.counters["bytes"] = static_cast<double>(run.bytes());
  }
}

// Collects the counters of all repetitions for the JSON line.
class Reporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<benchmark::BenchmarkReporter::Run>& runs) override {
    for (const auto& run : runs) {
      // Not the library's means, nor a repetition that failed.
      if (run.run_type != benchmark::BenchmarkReporter::Run::RT_Iteration || run.counters.count("ns") == 0) continue;
      const auto total = [&](const char* name) { return static_cast<std::int64_t>(run.counters.at(name).value); };
      ns.push_back(total("ns"));
      allocations.push_back(total("allocations"));
      bytes.push_back(total("bytes"));
    }
  }

  std::vector<std::int64_t> ns;
  std::vector<std::int64_t> allocations;
  std::vector<std::int64_t> bytes;
};

inline void run_row(const char* contender, const Row& row, std::uint64_t operations, std::uint64_t repetitions, bool count,
                    double slowdown) {
  operations = (operations + row.step - 1) / row.step * row.step;
  set_counting(count);
  if (has_counterpart(row.name)) pin(Side::runtime);
  std::exception_ptr error;
  benchmark::RegisterBenchmark(row.name.c_str(), [&](benchmark::State& state) {
    try {
      if (!error) repeat(state, row, slowdown);
    } catch (...) {
      error = std::current_exception();  // the library lets nothing through
    }
    if (error) state.SkipWithError("failed");
  })->Iterations(static_cast<benchmark::IterationCount>(operations))->Repetitions(static_cast<int>(repetitions))->UseManualTime();
  Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, "all");
  benchmark::ClearRegisteredBenchmarks();
  set_counting(false);
  if (error) std::rethrow_exception(error);
  std::printf("{\"contender\": \"%s\", \"row\": \"%s\", \"operations\": %llu", contender, row.name.c_str(),
              static_cast<unsigned long long>(operations));
  print_all("ns", reporter.ns);
  if (count) {
    print_all("allocations", reporter.allocations);
    print_all("bytes", reporter.bytes);
  }
  std::printf("}\n");
  std::fflush(stdout);
}

}  // namespace detail

inline int run_program(const char* contender, const std::vector<Row>& rows, int argc, char** argv) try {
  std::string wanted;
  std::uint64_t operations = 1000;
  std::uint64_t repetitions = 1;
  bool list = false;
  bool count = false;
  double slowdown = 1;
  const std::string self = argv[0];
  program_folder() = self.find('/') == std::string::npos ? "." : self.substr(0, self.rfind('/'));
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&] {
      if (i + 1 == argc) {
        std::fprintf(stderr, "%s needs a value\n", option.c_str());
        std::exit(2);
      }
      return argv[++i];
    };
    if (option == "--list") {
      list = true;
    } else if (option == "--row") {
      wanted = value();
    } else if (option == "--operations") {
      operations = std::strtoull(value(), nullptr, 10);
    } else if (option == "--repetitions") {
      repetitions = std::strtoull(value(), nullptr, 10);
    } else if (option == "--count") {
      count = true;
    } else if (option == "--slowdown") {
      slowdown = std::strtod(value(), nullptr);
    } else {
      std::fprintf(option == "--help" ? stdout : stderr,
                   "usage: %s --list | --row ROW [--operations N] [--repetitions K] [--count] [--slowdown F]\n", argv[0]);
      return option == "--help" ? 0 : 2;
    }
  }
  bool found = false;
  for (const Row& row : rows) {
    if (list) {
      if (row.body != nullptr) {
        std::printf("%s\t%llu\n", row.name.c_str(), static_cast<unsigned long long>(row.step));
      } else {
        std::printf("%s\t-\t%s\n", row.name.c_str(), row.left_out.c_str());
      }
    } else if (row.body != nullptr && row.name == wanted) {
      found = true;
      detail::run_row(contender, row, operations == 0 ? 1 : operations, repetitions, count, slowdown);
    }
  }
  if (!list && !found) {
    std::fprintf(stderr, "%s has no row '%s'\n", contender, wanted.c_str());
    return 2;
  }
  return 0;
} catch (const Skip& reason) {
  std::fprintf(stderr, "%s\n", reason.what());
  return 77;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", contender, error.what());
  return 1;
}

}  // namespace bench
