// What a whole executor needs to run under the interleaving explorer: the runtime itself, and what an execution has of threads and
// of the operating system.
//
// It does not link the runtime, but includes it: everything is compiled for the explorer. One program, one source file.
#pragma once

#include "assay_testkit/model_main.hpp"

#include "assay/audited/frame_pool.cpp"
#include "assay/audited/slab_chunk.cpp"
#include "assay/audited/system.cpp"
#include "assay/audited/task_core.cpp"
#include "assay/coroutine.cpp"
#include "assay/descriptors.cpp"
#include "assay/epoll_reactor.cpp"
#include "assay/executor.cpp"
#include "assay/fd_source.cpp"
#include "assay/reactor.cpp"
#include "assay/scheduler.cpp"
#include "assay/slab.cpp"

#include <array>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "assay/assay.hpp"

namespace {

std::array<assay::audited::Current, assay::testkit::explorer::max_threads> of_threads;

}  // namespace

namespace assay::audited {

Current& this_thread() noexcept ASSAY_NONBLOCKING {
  const std::uint32_t id = testkit::explorer::Engine::here().thread();
  of_threads.at(id).thread_id = id + 1;
  return of_threads.at(id);
}

void report_line(std::initializer_list<const char*> parts) noexcept {
  for (const char* part : parts) std::fputs(part, stderr);
}

}  // namespace assay::audited

namespace {

using namespace assay;
using testkit::Signal;
namespace modelled = testkit::modelled;
namespace sync = testkit::sync;

// What an execution has of the operating system: an eventfd, which is a Signal. The first of its objects.
class System {
 public:
  System() : place_(audited::in_use) {
    audited::Current fresh;
    fresh.frames.state = audited::FrameCache::State::closed;  // frames go to the model's memory and back
    of_threads.fill(fresh);
    self_ = this;
    calls_ = audited::real_system_calls();
    calls_.eventfd = [](unsigned, int) { return 1000; };
    calls_.close = [](int) { return 0; };
    calls_.read = [](int, void*, std::size_t size) { return static_cast<ssize_t>(size); };
    calls_.write = [](int, const void*, std::size_t size) {
      self_->eventfd.set();
      return static_cast<ssize_t>(size);
    };
    audited::replace_system_calls(&calls_);
  }
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  ~System() { audited::replace_system_calls(nullptr); }

  Signal eventfd;

 private:
  static inline System* self_ = nullptr;
  audited::SystemCalls calls_;
  decltype(audited::in_use)::Execution place_;
};

class ModelReactor final : public Reactor {
 public:
  explicit ModelReactor(System& system) : system_(system) {}
  ~ModelReactor() override { let_go_of_all(); }
  bool wait(int, std::optional<Duration> timeout) override {
    if (timeout == Duration::zero()) return true;
    system_.eventfd.wait();
    return true;
  }
  std::size_t size() const noexcept override { return 0; }

 private:
  void added(FdWait&) override {}
  void removed(std::size_t) noexcept override {}
  System& system_;
};

}  // namespace
