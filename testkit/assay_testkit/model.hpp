// For models: production source under an explorer that runs it in every interleaving. Include first. A model is written
// once, with what is here and the types of assay::audited::sync, and runs under two explorers that check each other:
// ours, and (with MODEL_RELACY) Relacy.
//
//   struct Flag : Model<Flag, 2> {
//     sync::Atomic<int> flag{0};
//     sync::Cell<int> data{0};
//     void before() {}                // by one thread, before the others begin
//     void thread(unsigned index) {   // 0 and 1, in parallel
//       if (index == 0) {
//         data.set(1);
//         flag.store_release(1);
//       } else if (flag.load_acquire() == 1) {
//         MODEL_CHECK(data.get() == 1);
//       }
//     }
//     void after() {}                 // by one thread, after their end
//   };
//   MODEL_MAIN("flag", [] { return assay::testkit::run_model<Flag>("flag"); })
//
// MODEL_MAIN is main(), or, with MODEL_REGISTER, one of the models of a program whose main() is models_main()
// (model_main.hpp).
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(MODEL_RELACY)

#define ASSAY_SYNC_HEADER "assay_testkit/relacy_sync.hpp"
#include "assay_testkit/relacy_sync.hpp"
#define MODEL_CHECK(holds) RL_ASSERT(holds)

#else

#define ASSAY_SYNC_HEADER "assay_testkit/explore/sync.hpp"
#include "assay_testkit/explore/sync.hpp"
#if !defined(MODEL_REGISTER)
#include "assay_testkit/explore/heap.hpp"
#endif
#define MODEL_NEW new
#define MODEL_DELETE delete
#define MODEL_CHECK(holds) ::assay::testkit::modelled::check((holds), #holds)

#endif

#if defined(MODEL_REGISTER)
#define MODEL_MAIN(name, run)                                    \
  namespace {                                                    \
  const ::assay::testkit::RegisteredModel registered(name, run); \
  }
#elif defined(MODEL_RELACY)
#define MODEL_MAIN(name, run)                                                                       \
  int main(int count, char** words) {                                                               \
    ::assay::audited::sync::is_weakened = count == 2 && std::string_view(words[1]) == "--weakened"; \
    return (run)();                                                                                 \
  }
#else
#define MODEL_MAIN(name, run) \
  int main() { return (run)(); }
#endif

#include "assay/base/check.hpp"

// Models do not link the runtime: an assertion of the code under test ends the model.
inline void assay::audited::fail(const char* message, const char* file, int line, const char*) noexcept {
#if !defined(MODEL_RELACY)
  if (assay::testkit::explorer::Engine::modelling() != nullptr) assay::testkit::modelled::check(false, message);
#endif
  std::fprintf(stderr, "model: %s (%s:%d)\n", message, file, line);
  std::abort();
}

namespace assay::testkit {

namespace sync = assay::audited::sync;

struct RegisteredModel {
  RegisteredModel(std::string its_name, std::function<int()> its_run, bool deep = false)
      : name(std::move(its_name)), run(std::move(its_run)), is_deep(deep) {
    all().push_back(this);
  }
  RegisteredModel(const RegisteredModel&) = delete;
  RegisteredModel& operator=(const RegisteredModel&) = delete;
  static std::vector<const RegisteredModel*>& all() {
    static std::vector<const RegisteredModel*> models;
    return models;
  }

  std::string name;
  std::function<int()> run;
  bool is_deep;  // takes minutes: run by hand
};

// Blocks until it is set, and takes it: an eventfd.
class Signal {
 public:
  void set() {
    const sync::Lock lock(mutex_);
    is_set_.set(1);
    condition_.notify_one();
  }
  void wait() {
    const sync::Lock lock(mutex_);
    while (is_set_.get() == 0) condition_.wait(mutex_);
    is_set_.set(0);
  }

 private:
  sync::Mutex mutex_;
  sync::Condition condition_;
  sync::Cell<int> is_set_{0};
};

namespace detail {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace detail

#if defined(MODEL_RELACY)

template <class Self, unsigned count>
using Model = rl::test_suite<Self, static_cast<int>(count)>;

// Searches all interleavings of Test, with at most `bound` involuntary context switches (0: no bound; ours needs none,
// and takes no notice). Prints executions and time; returns main()'s exit code.
template <class Test>
int run_model(const char* name, unsigned bound = 0) {
  rl::test_params params;
  std::ostringstream progress;
  params.progress_stream = &progress;
  params.search_type = bound == 0 ? rl::sched_full : rl::sched_bound;
  params.context_bound = bound;
  params.execution_depth_limit = 2000;
  const detail::Stopwatch watch;
  const bool passed = rl::simulate<Test>(params);
  std::printf("model %s: %s  %llu executions%s, %.1f s\n", name, passed ? "PASS" : "FAIL",
              static_cast<unsigned long long>(params.stop_iteration),
              bound == 0 ? ", full search" : (", context bound " + std::to_string(bound)).c_str(), watch.seconds());
  return passed ? 0 : 1;
}

#else

struct ModelOutput {
  bool quiet = false;
  static ModelOutput& here() {
    static ModelOutput output;
    return output;
  }
};

template <class Self, unsigned count>
struct Model {
  static constexpr unsigned model_threads = count;
  void before() {}
  void after() {}
};

// Explores a function.
inline int run_explored(const char* name, std::function<void()> body) {
  const detail::Stopwatch watch;
  ExploreOptions options;
  options.locks_order = !explorer::Weakening::here().all;
  const Exploration found = explore(std::move(body), options);
  if (ModelOutput::here().quiet) return found.passed() ? 0 : 1;
  if (!found.passed()) std::fputs(found.report().c_str(), stdout);
  std::printf("model %s: %s  %llu executions and %llu given up%s, %.1f s\n", name, found.passed() ? "PASS" : "FAIL",
              static_cast<unsigned long long>(found.executions), static_cast<unsigned long long>(found.pruned),
              found.complete ? ", all there are" : "", watch.seconds());
  return found.passed() ? 0 : 1;
}

template <class Test>
int run_model(const char* name, unsigned = 0) {
  return run_explored(name, [] {
    Test test;
    test.before();
    {
      std::vector<modelled::Thread> threads;
      for (unsigned index = 0; index != Test::model_threads; ++index) {
        threads.emplace_back([&test, index] { test.thread(index); });
      }
      for (modelled::Thread& thread : threads) thread.join();
    }
    test.after();
  });
}

#endif

}  // namespace assay::testkit
