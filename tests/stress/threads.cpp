// Everything where threads meet, with real threads, for as long as one wants: what the explorer cannot see (the real atomics,
// the system's futexes and eventfds, libraries) under ThreadSanitizer, Helgrind and DRD: sanitizer-scripts/stress. Each round makes
// one choice of what each thread does, from a seed that is printed; what goes wrong aborts.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "assay/assay.hpp"
#include "assay/threads.hpp"

// Defined: one race, for the tool that watches to find.
#if defined(STRESS_HAS_A_RACE)
constexpr bool has_a_race = true;
#else
constexpr bool has_a_race = false;
#endif

namespace {

using namespace assay;
using Random = std::minstd_rand;

#define REQUIRE(holds) ((holds) ? void() : stop(#holds, __LINE__))
[[noreturn]] void stop(const char* what, int line) {
  std::fprintf(stderr, "stress: FAIL  %s (line %d)\n", what, line);
  std::abort();
}

unsigned below(Random& random, unsigned bound) { return static_cast<unsigned>(random()) % bound; }

// Lets threads go on when all have come. (std::barrier is made of atomics, which Helgrind does not know.)
class Barrier {
 public:
  explicit Barrier(std::size_t count) : left_(count) {}
  void arrive_and_wait() {
    std::unique_lock lock(mutex_);
    if (--left_ == 0) all_came_.notify_all();
    all_came_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_came_;
  std::size_t left_;
};

// A number that threads change; as the runtime's own atomics, so that the tool that watches knows of it.
class Count {
 public:
  unsigned operator++() { return value_.fetch_add_relaxed(1) + 1; }
  unsigned operator--() { return value_.fetch_sub_acq_rel(1) - 1; }
  operator unsigned() const { return value_.load_relaxed(); }

 private:
  audited::sync::Atomic<unsigned> value_{0};
};

// All bodies begin at the same time, each on a thread of its own; the last one on this thread.
void together(std::vector<std::function<void()>> bodies) {
  Barrier begin(bodies.size());
  std::vector<std::thread> others;
  for (std::size_t at = 0; at + 1 < bodies.size(); ++at) {
    others.emplace_back([&begin, &body = bodies[at]] {
      begin.arrive_and_wait();
      body();
    });
  }
  begin.arrive_and_wait();
  bodies.back()();
  for (std::thread& other : others) other.join();
}

// ---- oneshot: send or drop, against receive, close or drop

void stress_oneshot(Random& random) {
  auto [sender, receiver] = threads::oneshot<std::vector<int>>();
  const bool sends = below(random, 3) != 0;
  const unsigned ends = below(random, 3);
  bool is_sent = false;
  bool is_received = false;
  together({[&, mine = &sender] {
              auto gone = std::move(*mine);
              if (sends) is_sent = gone.send({1, 2, 3});
            },
            [&, mine = &receiver] {
              auto gone = std::move(*mine);
              if (ends == 0) return;
              if (ends == 1) gone.close();
              const auto value = run(gone);
              is_received = value.has_value();
              if (is_received) REQUIRE(value->size() == 3);
            }});
  REQUIRE(!is_received || is_sent);
  if (ends == 2) REQUIRE(is_received == sends);
}

// ---- channel: two senders that send, try and give up, against a receiver that takes, closes or goes

void stress_channel(Random& random) {
  auto [sender, receiver] = threads::channel<std::vector<unsigned>>(1 + below(random, 3));
  const unsigned leaves_after = below(random, 2) == 0 ? ~0U : below(random, 8);
  const bool closes = below(random, 2) == 0;
  const unsigned tries = below(random, 4);
  Count accepted;
  unsigned received = 0;
  const auto send = [&](threads::Sender<std::vector<unsigned>> mine) {
    for (unsigned number = 0; number != 8; ++number) {
      if (number % 4 == tries) {
        if (!mine.try_send({number})) ++accepted;
      } else if (run(mine.send({number}))) {
        ++accepted;
      }
    }
    const Waker nobody;
    Context once(nobody);
    auto gives_up = mine.send({9});
    if (Poll<bool> answer = gives_up.poll(once); answer.is_ready() && std::move(answer).take()) ++accepted;
  };
  std::optional<threads::Sender<std::vector<unsigned>>> first(sender);
  std::optional<threads::Sender<std::vector<unsigned>>> second(std::move(sender));
  bool is_dropped = false;
  together({[&] { send(*std::exchange(first, std::nullopt)); }, [&] { send(*std::exchange(second, std::nullopt)); },
            [&] {
              auto mine = std::move(receiver);
              while (received != leaves_after && run(mine.recv())) ++received;
              is_dropped = received == leaves_after && !closes;
              if (is_dropped) return;
              mine.close();
              while (run(mine.recv())) ++received;
            }});
  if (!is_dropped) {
    // A send that gave up may have been let in before.
    REQUIRE(received >= accepted && received <= accepted + 2);
  }
}

// ---- wakes: threads with Wakers of tasks, against an executor that runs, cancels or dies

struct Tasks {
  Count written;
  std::vector<std::optional<Waker>> wakers;
  unsigned alive = 0;
};

// Ready when all threads have woken it.
class Woken {
 public:
  using Output = unsigned;
  Woken(Tasks& tasks, unsigned wanted) : tasks_(&tasks), wanted_(wanted) { ++tasks_->alive; }
  Woken(Woken&& other) noexcept : tasks_(other.tasks_), wanted_(other.wanted_) { ++tasks_->alive; }
  Woken& operator=(Woken&&) = delete;
  ~Woken() { --tasks_->alive; }
  Poll<unsigned> poll(Context& context) {
    if (std::exchange(is_first_, false)) {
      for (std::optional<Waker>& waker : tasks_->wakers) waker.emplace(context.waker());
    }
    const unsigned written = tasks_->written;
    return written == wanted_ ? Poll<unsigned>(Ready(unsigned(written))) : Poll<unsigned>(Pending);
  }

 private:
  Tasks* tasks_;
  unsigned wanted_;
  bool is_first_ = true;
};

void stress_wakes(Random& random) {
  Tasks tasks;
  tasks.wakers.resize(2);
  ExecutorOptions options;
  options.on_stranded = OnStranded::ignore;
  options.backend = below(random, 2) == 0 ? Backend::epoll : Backend::poll;
  std::optional<Executor> executor(std::in_place, options);
  const unsigned owner = below(random, 4);
  const unsigned other = below(random, 3);
  std::optional<JoinHandle<unsigned>> handle(executor->spawn(Woken(tasks, 2)));
  executor->run_until_stalled();
  const auto use = [&](unsigned index) {
    Waker mine = std::move(*std::exchange(tasks.wakers[index], std::nullopt));
    ++tasks.written;
    if (other == 0) return mine.wake_by_ref();
    if (other == 1) return std::move(mine).wake();
    Waker clone = mine;
    mine = Waker();
    std::move(clone).wake();
  };
  together({[&] { use(0); }, [&] { use(1); },
            [&] {
              switch (owner) {
                case 0:
                  REQUIRE(executor->block_on(std::move(*handle)) == 2);
                  break;
                case 1:
                  handle.reset();
                  executor->run_until_stalled();
                  break;
                case 2:
                  handle->detach();
                  executor->run_until_stalled();
                  executor.reset();
                  break;
                default:
                  executor.reset();
                  break;
              }
            }});
  handle.reset();
  if (executor) executor->check_deep();
  executor.reset();
  REQUIRE(tasks.alive == 0);
}

// ---- Remote: threads that spawn, wait, cancel and detach, against an executor that runs or dies

void stress_remote(Random& random) {
  std::optional<Executor> executor(std::in_place);
  std::optional<threads::Remote> remote(std::in_place, *executor);
  const bool dies = below(random, 2) == 0;
  const unsigned other = below(random, 3);
  auto [done, is_done] = threads::oneshot<int>();
  Count finished;
  Count ran;
  const auto use = [&, say = &done](threads::Remote mine) {
    auto handle = mine.spawn([](Count& count) -> Async<unsigned> {
      co_await yield_now();
      co_return ++count;
    }, std::ref(ran));
    // (Nothing is thrown here: what throwing does to be fast on several threads, Helgrind takes for races.)
    if (other == 0) handle.cancel();
    if (other == 1) handle.detach();
    if (other == 2 && !dies) REQUIRE(handle.join() >= 1);
    if (++finished == 2) say->send(1);
  };
  together({[&, mine = *remote] { use(mine); }, [&, mine = *remote] { use(mine); },
            [&, wait = &is_done] {
              if (!dies) REQUIRE(executor->block_on(*wait) == 1);
              executor.reset();
            }});
  REQUIRE(ran <= 2);
}

// ---- BlockingPool: threads that give it work, and its end

void stress_pool(Random& random) {
  Count ran;
  unsigned joined = 0;
  {
    threads::BlockingPool pool({.max_threads = 1 + below(random, 2)});
    Count results;
    const unsigned kind = below(random, 3);
    const auto give = [&] {
      for (int count = 0; count != 3; ++count) {
        auto handle = pool.spawn_blocking([&] { ++ran; });
        if (kind == 0) handle.detach();
        if (kind == 1) {
          handle.join();
          ++results;
        }
      }
    };
    together({give, give});
    joined = results;
  }
  REQUIRE(ran >= joined && ran <= 6);
}

// ---- WakerSlot

void stress_slot(Random&) {
  threads::WakerSlot slot;
  Count done;
  const auto raced = std::make_unique<int>(0);  // (on the heap: DRD does not look at the stack)
  const auto work = [&] {
    if (has_a_race) ++*raced;
    ++done;
    slot.wake();
  };
  class Waits {
   public:
    using Output = void;
    Waits(threads::WakerSlot& slot_of, Count& done_of) : slot_(slot_of), done_(done_of) {}
    Poll<void> poll(Context& context) {
      slot_.keep(context.waker());
      return done_ == 2 ? Poll<void>(Ready()) : Poll<void>(Pending);
    }

   private:
    threads::WakerSlot& slot_;
    Count& done_;
  };
  together({work, work, [&] { run(Waits(slot, done)); }});
}

struct Scenario {
  const char* name;
  void (*round)(Random&);
  std::uint64_t rounds = 0;
};

}  // namespace

int main(int count, char** words) {
  std::uint64_t seconds = 2;
  std::uint64_t most = ~std::uint64_t{0};
  std::uint64_t seed = 1;
  for (int at = 1; at < count; at += 2) {
    const std::string_view word = words[at];
    std::uint64_t* const place = word == "--seconds" ? &seconds : word == "--rounds" ? &most : word == "--seed" ? &seed : nullptr;
    char* end = nullptr;
    if (place != nullptr && at + 1 < count) *place = std::strtoull(words[at + 1], &end, 10);
    if (end == nullptr || *end != '\0' || end == words[at + 1]) {
      const bool wants_help = word == "--help";
      std::fprintf(wants_help ? stdout : stderr, "usage: %s [--seconds N] [--rounds N] [--seed N]\n", words[0]);
      return wants_help ? 0 : 2;
    }
  }
  Scenario scenarios[] = {{"oneshot", stress_oneshot}, {"channel", stress_channel}, {"wakes", stress_wakes},
                          {"remote", stress_remote},   {"pool", stress_pool},       {"slot", stress_slot}};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  Random random(static_cast<Random::result_type>(seed));
  std::uint64_t rounds = 0;
  while (rounds < most && (rounds == 0 || std::chrono::steady_clock::now() < end)) {
    for (Scenario& scenario : scenarios) {
      scenario.round(random);
      ++scenario.rounds;
    }
    ++rounds;
  }
  for (const Scenario& scenario : scenarios) {
    std::printf("%s %llu\n", scenario.name, static_cast<unsigned long long>(scenario.rounds));
  }
  std::printf("stress: PASS  %llu rounds of %zu scenarios, seed %llu\n", static_cast<unsigned long long>(rounds),
              std::size(scenarios), static_cast<unsigned long long>(seed));
  return 0;
}
