// One executor on each of N threads, which send each other messages: how a program uses all cores with executors that share
// nothing. Prints how fast.
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <assay/assay.hpp>
#include <assay/threads.hpp>

namespace {

using assay::Async;
using Message = std::uint64_t;
namespace threads = assay::threads;

// A thread with an executor, to spawn in from elsewhere, until this object goes.
class Core {
 public:
  Core() {
    auto [here, there] = threads::oneshot<threads::Remote>();
    auto [stop, stopped] = threads::oneshot<bool>();
    stop_.emplace(std::move(stop));
    thread_ = std::thread([mine = std::move(here), end = std::move(stopped)]() mutable {
      assay::Executor executor;
      mine.send(threads::Remote(executor));
      executor.block_on(end);
    });
    remote_.emplace(std::move(*assay::run(there)));
  }
  Core(Core&&) = default;
  Core& operator=(Core&&) = delete;
  ~Core() {
    remote_.reset();
    stop_.reset();  // the executor hears of it
    if (thread_.joinable()) thread_.join();
  }

  const threads::Remote& remote() const { return *remote_; }

 private:
  std::optional<threads::OneshotSender<bool>> stop_;
  std::optional<threads::Remote> remote_;
  std::thread thread_;
};

// Sends to all in turn. By value: a coroutine keeps what it is given.
Async<bool> send(std::vector<threads::Sender<Message>> others, std::uint64_t count) {
  for (Message message = 0; message != count; ++message) {
    if (!co_await others.at(message % others.size()).send(message)) co_return false;
  }
  co_return true;
}

Async<std::uint64_t> receive(threads::Receiver<Message> from) {
  std::uint64_t count = 0;
  while (co_await from.recv()) ++count;
  co_return count;
}

// What each core does: it sends and receives at the same time, until all others are done.
Async<std::uint64_t> exchange(std::vector<threads::Sender<Message>> others, threads::Receiver<Message> mine, std::uint64_t count) {
  auto [sent, received] = co_await assay::join(send(std::move(others), count), receive(std::move(mine)));
  co_return sent ? received : 0;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int count, char** words) {
  std::uint64_t cores = std::thread::hardware_concurrency() == 0 ? 2 : std::thread::hardware_concurrency();
  std::uint64_t messages = 200'000;
  for (int at = 1; at < count; at += 2) {
    const bool is_threads = std::strcmp(words[at], "--threads") == 0;
    const std::optional<std::uint64_t> value = at + 1 < count ? number(words[at + 1]) : std::nullopt;
    if ((!is_threads && std::strcmp(words[at], "--messages") != 0) || !value || (is_threads && *value > 256)) {
      const bool wants_help = std::strcmp(words[at], "--help") == 0;
      std::fprintf(wants_help ? stdout : stderr,
                   "usage: per_core [--threads N] [--messages M]\n"
                   "N threads (1 to 256; one per processor), each with an executor; each sends M messages (200000) to all in turn.\n");
      return wants_help ? 0 : 2;
    }
    (is_threads ? cores : messages) = *value;
  }

  std::vector<Core> all(cores);
  std::vector<threads::Sender<Message>> senders;
  std::vector<threads::Receiver<Message>> receivers;
  for (std::uint64_t core = 0; core != cores; ++core) {
    auto [sender, receiver] = threads::channel<Message>(1024);
    senders.push_back(std::move(sender));
    receivers.push_back(std::move(receiver));
  }

  const auto start = std::chrono::steady_clock::now();
  std::vector<threads::RemoteHandle<std::uint64_t>> handles;
  for (std::uint64_t core = 0; core != cores; ++core) {
    handles.push_back(all[core].remote().spawn(assay::TaskName("exchange"), exchange, senders, std::move(receivers[core]), messages));
  }
  senders.clear();  // those of the tasks are the only ones
  std::uint64_t received = 0;
  for (std::uint64_t core = 0; core != cores; ++core) {
    const std::uint64_t here = handles[core].join();
    std::printf("core %llu received %llu\n", static_cast<unsigned long long>(core), static_cast<unsigned long long>(here));
    received += here;
  }
  const double exchanged = seconds_since(start);

  const auto again = std::chrono::steady_clock::now();
  constexpr int spawns = 1000;
  for (int round = 0; round != spawns; ++round) {
    all[static_cast<std::uint64_t>(round) % cores].remote().spawn([]() -> Async<void> { co_return; }).join();
  }
  const double spawned = seconds_since(again);

  std::printf("%llu threads, %llu of %llu messages, %.0f a second; a remote spawn and join takes %.1f us\n",
              static_cast<unsigned long long>(cores), static_cast<unsigned long long>(received),
              static_cast<unsigned long long>(cores * messages), static_cast<double>(received) / exchanged, spawned * 1e6 / spawns);
  return received == cores * messages ? 0 : 1;
}
