// Fault loops: a scenario is run again and again, and each time the next allocation, or the next system call, fails: the first,
// the second, and so on until one run meets no fault. Each in two ways: only that one, and all from there on.
//
//   const FaultLoop loop = each_allocation_fails([](FaultRegion& faults) {
//     Executor executor;
//     faults([&] { executor.block_on(serve()); });   // what fails, fails in here
//     use(executor);                                  // no faults any more: it must work
//   });
//   CHECK(loop.failures == std::vector<std::string>{});
//   CHECK(loop.faults > 0);
//
// After each run all that was allocated must be freed and every file descriptor closed. What the scenario throws outside of its
// regions is a failure; so is anything but std::bad_alloc and std::system_error inside. The program needs allocation_counter_operators.hpp.
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <bitset>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/audited/poison.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "assay_testkit/dies.hpp"
#include "assay_testkit/system_faults.hpp"

#if defined(__SANITIZE_THREAD__)
#define ASSAY_TESTKIT_WITH_TSAN 1
#elif defined(__has_feature)
#define ASSAY_TESTKIT_WITH_TSAN __has_feature(thread_sanitizer)
#else
#define ASSAY_TESTKIT_WITH_TSAN 0
#endif

namespace assay::testkit {

struct FaultLoop {
  std::uint64_t runs = 0;               // of the scenario
  std::uint64_t faults = 0;             // runs in which something was made to fail
  std::uint64_t thrown = 0;             // of these: those in which a region threw
  std::uint64_t aborted = 0;            // of these: those that ended the process, with a line of assay's
  std::vector<std::string> failures{};  // which fault, and what was wrong afterwards
};

enum class FaultWay : std::uint8_t { once, from_there_on };

// A fault that a system call can have.
struct SystemFault {
  SystemCall call = SystemCall::ppoll;
  int error = 0;
  bool is_passing = false;  // the call is repeated, or waits until the system says otherwise: it never fails for ever
  bool may_abort = false;   // where assay itself uses the call, this means that somebody has broken what is its own
};

// Given to a scenario: faults come only inside its calls.
class FaultRegion {
 public:
  FaultRegion() noexcept = default;
  FaultRegion(std::uint64_t successes, FaultWay way) noexcept : is_armed_(true), left_(successes), way_(way) {}
  FaultRegion(const FaultRegion&) = delete;
  FaultRegion& operator=(const FaultRegion&) = delete;

  // Runs the code with faults. False: it threw what a fault may throw. May be called again, and goes on counting.
  template <class Code>
  bool operator()(Code&& code) {
    const Arming arming(*this);
    try {
      std::forward<Code>(code)();
      return true;
    } catch (const std::bad_alloc&) {
    } catch (const std::system_error&) {
    }
    threw_ = true;
    return false;
  }

  bool threw() const noexcept { return threw_; }
  std::uint64_t faults() const noexcept { return faults_; }
  // The system calls of a run of each_system_call_fails(); null in each_allocation_fails().
  SystemFaults* calls() const noexcept { return calls_; }

 private:
  template <class Scenario>
  friend FaultLoop each_system_call_fails(Scenario&& scenario);

  // How many calls fail, if not all.
  static constexpr std::uint64_t in_a_row = 3;

  class Arming {
   public:
    explicit Arming(FaultRegion& region) noexcept : region_(region) {
      if (!region_.is_armed_ || region_.faults_ >= region_.most()) return;
      is_on_ = true;
      if (region_.calls_ == nullptr) {
        made_before_ = allocation_counts().news;
        fail_allocation_after(region_.left_, region_.way_ == FaultWay::from_there_on);
      } else {
        made_before_ = region_.calls_->calls(region_.fault_.call);
        failed_before_ = region_.calls_->failed(region_.fault_.call);
        const std::uint64_t most = region_.most();
        region_.calls_->fail(region_.fault_.call, region_.fault_.error, region_.left_,
                             most == SystemFaults::for_ever ? most : most - region_.faults_);
      }
    }
    ~Arming() {
      if (!is_on_) return;
      std::uint64_t made = 0;
      if (region_.calls_ == nullptr) {
        region_.faults_ += allocations_failed();
        stop_failing();
        made = allocation_counts().news - made_before_;
      } else {
        region_.faults_ += region_.calls_->failed(region_.fault_.call) - failed_before_;
        region_.calls_->stop(region_.fault_.call);
        made = region_.calls_->calls(region_.fault_.call) - made_before_;
      }
      region_.left_ = region_.faults_ > 0 || made >= region_.left_ ? 0 : region_.left_ - made;
    }
    Arming(const Arming&) = delete;
    Arming& operator=(const Arming&) = delete;

   private:
    FaultRegion& region_;
    std::uint64_t made_before_ = 0;
    std::uint64_t failed_before_ = 0;
    bool is_on_ = false;
  };

  std::uint64_t most() const noexcept {
    return way_ == FaultWay::once ? 1 : calls_ != nullptr && fault_.is_passing ? in_a_row : SystemFaults::for_ever;
  }

  bool is_armed_ = false;
  std::uint64_t left_ = 0;
  FaultWay way_ = FaultWay::once;
  std::uint64_t faults_ = 0;
  bool threw_ = false;
  SystemFaults* calls_ = nullptr;
  SystemFault fault_{};
};

// Notes what must be the same after a scenario as before.
class Leftovers {
 public:
  Leftovers() : files_(open_files()) {
    audited::trim_frame_pool();
    counts_ = allocation_counts();
  }
  // What is left since; empty: nothing.
  std::string found() const {
    audited::trim_frame_pool();
    const AllocationCounts now = allocation_counts();
    const std::int64_t blocks = static_cast<std::int64_t>(now.news - counts_.news) - static_cast<std::int64_t>(now.deletes - counts_.deletes);
    std::string text;
    if (blocks != 0) text += std::to_string(blocks) + " blocks of memory are left; ";
    const Files after = open_files();
    for (std::size_t fd = 0; fd < after.size(); ++fd) {
      if (after[fd] && !files_[fd]) text += "file descriptor " + std::to_string(fd) + " is left open; ";
      if (!after[fd] && files_[fd]) text += "file descriptor " + std::to_string(fd) + ", another's, was closed; ";
    }
    return text;
  }

 private:
  using Files = std::bitset<256>;
  static Files open_files() {
    Files files;
    for (std::size_t fd = 0; fd < files.size(); ++fd) files[fd] = ::fcntl(static_cast<int>(fd), F_GETFD) != -1;
    return files;
  }

  Files files_;
  AllocationCounts counts_{};
};

inline const char* name_of(FaultWay way) noexcept { return way == FaultWay::once ? "once" : "from there on"; }

// Runs scenario(FaultRegion&) with the N-th allocation of this thread failing. One thread; allocations of others are not counted.
template <class Scenario>
FaultLoop each_allocation_fails(Scenario&& scenario) {
  FaultLoop loop;
  {
    FaultRegion none;  // what is made once and stays, such as what a library allocates at its first use
    scenario(none);
  }
  for (const FaultWay way : {FaultWay::once, FaultWay::from_there_on}) {
    for (std::uint64_t successes = 0;; ++successes) {
      const Leftovers before;
      FaultRegion region(successes, way);
      std::string wrong;
      try {
        scenario(region);
      } catch (const std::exception& error) {
        wrong = std::string("threw: ") + error.what();
      }
      ++loop.runs;
      if (wrong.empty()) wrong = before.found();
      if (!wrong.empty()) {
        loop.failures.push_back("allocation " + std::to_string(successes + 1) + ", " + name_of(way) + ": " + wrong);
      }
      if (region.faults() == 0) break;
      ++loop.faults;
      if (region.threw()) ++loop.thrown;
    }
  }
  return loop;
}

// A fork is slow under these tools. The environment variable ASSAY_FAULT_BRIEF has the same effect, for runs that come many times
// and are about something else.
#if defined(ASSAY_WITH_ASAN) || defined(ASSAY_WITH_MSAN) || defined(ASSAY_VALGRIND) || ASSAY_TESTKIT_WITH_TSAN
inline bool forks_are_few() { return true; }
#else
inline bool forks_are_few() { return std::getenv("ASSAY_FAULT_BRIEF") != nullptr; }
#endif

// Every error that the calls of the table can give to valid memory: from their manual pages. Where forks are to be few: of those that
// may abort, one for each call.
inline const std::vector<SystemFault>& system_faults() {
  using enum SystemCall;
  static const std::vector<SystemFault> faults = [] {
    std::vector<SystemFault> all;
    const auto add = [&](SystemCall call, std::initializer_list<int> errors, bool is_passing, bool may_abort) {
      for (const int error : errors) {
        all.push_back({call, error, is_passing, may_abort});
        if (may_abort && forks_are_few()) break;
      }
    };
    add(ppoll, {EINTR, EAGAIN}, true, false);
    add(ppoll, {ENOMEM}, true, false);  // waits with nothing, and again
    add(ppoll, {EINVAL}, false, true);
    add(read, {EINTR, EAGAIN}, true, false);
    add(read, {EBADF, EINVAL, EIO, EISDIR, ECONNRESET, ENOTCONN, ETIMEDOUT}, false, true);
    add(write, {EINTR, EAGAIN}, true, false);
    add(write, {EBADF, EDESTADDRREQ, EDQUOT, EFBIG, EINVAL, EIO, ENOSPC, EPERM, EPIPE}, false, true);
    add(send, {EINTR, EAGAIN}, true, false);
    add(send, {EACCES, EBADF, ECONNRESET, EDESTADDRREQ, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE},
        false, false);
    add(close, {EINTR, EIO, ENOSPC, EDQUOT}, false, false);
    add(close, {EBADF}, false, true);
    add(eventfd, {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM}, false, false);
    add(epoll_create1, {EINVAL, EMFILE, ENFILE, ENOMEM}, false, false);
    add(epoll_ctl, {EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM}, false, false);
    add(epoll_wait, {EINTR}, true, false);
    add(epoll_wait, {EBADF, EINVAL}, false, true);
    add(epoll_pwait2, {EINTR}, true, false);
    add(epoll_pwait2, {ENOSYS, EPERM}, false, false);
    add(epoll_pwait2, {EBADF, EINVAL}, false, true);
    add(timerfd_create, {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, EPERM}, false, false);
    add(timerfd_settime, {EBADF, ECANCELED, EINVAL}, false, true);
    return all;
  }();
  return faults;
}

// Whether each run of each_system_call_fails() gets a process of its own. Where forks are to be few only those that may abort do;
// set the environment variable ASSAY_FAULT_FORK to see which fault it was that ended the program nevertheless.
inline bool forks_for(const SystemFault& fault) {
  return !forks_are_few() || fault.may_abort || std::getenv("ASSAY_FAULT_FORK") != nullptr;
}

// Runs scenario(FaultRegion&) with the N-th call of each kind failing with each error that it can give. Each run is in a child process
// (see forks_for), and may end in an abort with a line of assay's where SystemFault says so. Errors that pass come once, and three
// times in a row; the others once, and from there on. A child that takes a minute has failed. Call it where no other thread runs.
template <class Scenario>
FaultLoop each_system_call_fails(Scenario&& scenario) {
  enum Code { fine = 0, no_fault = 10, threw, wrong, wrong_without_fault };
  const auto run_once = [&](const SystemFault& fault, FaultWay way, std::uint64_t successes, std::string& text) {
    FaultRegion region(successes, way);
    region.fault_ = fault;
    const Leftovers before;
    try {
      SystemFaults calls;
      region.calls_ = &calls;
      scenario(region);
    } catch (const std::exception& error) {
      text = std::string("threw: ") + error.what();
    }
    if (text.empty()) text = before.found();
    if (!text.empty()) return region.faults() == 0 ? wrong_without_fault : wrong;
    return region.faults() == 0 ? no_fault : region.threw() ? threw : fine;
  };
  FaultLoop loop;
  for (const SystemFault& fault : system_faults()) {
    for (const FaultWay way : {FaultWay::once, FaultWay::from_there_on}) {
      for (std::uint64_t successes = 0;; ++successes) {
        Death end;
        if (forks_for(fault)) {
          end = run_in_child([&] {
            ::alarm(60);
            std::string text;
            const Code code = run_once(fault, way, successes, text);
            std::fputs(text.c_str(), stderr);
            ::_exit(code);
          });
        } else {
          end.exit_code = run_once(fault, way, successes, end.standard_error);
        }
        ++loop.runs;
        if (end.exit_code == no_fault) break;
        ++loop.faults;
        if (end.exit_code == threw) ++loop.thrown;
        const bool has_line = end.standard_error.find("assay: ") != std::string::npos;
        const bool aborted = end.aborted && fault.may_abort && has_line;
        if (aborted) ++loop.aborted;
        if (end.exit_code != fine && end.exit_code != threw && !aborted) {
          loop.failures.push_back(std::string(name_of(fault.call)) + " " + std::to_string(successes + 1) + ", " +
                                  std::generic_category().message(fault.error) + ", " + name_of(way) + ": " +
                                  (end.aborted ? "aborted: " : end.exit_code < 0 ? "ended by a signal: " : "") + end.standard_error);
        }
        if (end.exit_code == wrong_without_fault) break;
      }
    }
  }
  return loop;
}

}  // namespace assay::testkit
