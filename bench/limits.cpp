// What the machine can do without a runtime: the floor under each row.
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <atomic>
#include <climits>
#include <coroutine>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using bench::Fd;
using bench::Run;
using bench::keep;

// The least coroutine: created suspended, resumed and destroyed by hand.
struct Bare {
  struct promise_type {
    Bare get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

[[gnu::noinline]] Bare endless() {
  for (;;) co_await std::suspend_always();
}
[[gnu::noinline]] Bare empty() { co_return; }

// So many at the same time: what spawning as many costs in memory alone.
void create_all(Run& run, std::uint64_t count) {
  std::vector<Bare> all;
  all.reserve(count);
  run.start();
  for (std::uint64_t left = run.operations() / count; left > 0; --left) {
    for (std::uint64_t i = 0; i < count; ++i) all.push_back(empty());
    for (Bare& each : all) {
      each.handle.resume();
      each.handle.destroy();
    }
    all.clear();
  }
  run.stop();
}

void resume(Run& run, std::uint64_t count) {
  std::vector<Bare> all;
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(endless());
  run.start();
  for (std::uint64_t left = run.operations() / count; left > 0; --left) {
    for (Bare& each : all) each.handle.resume();
  }
  run.stop();
  for (Bare& each : all) each.handle.destroy();
}

void create_destroy(Run& run, std::uint64_t) {
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    Bare coroutine = empty();
    keep(coroutine);
    coroutine.handle.resume();
    coroutine.handle.destroy();
  }
  run.stop();
}

[[gnu::noinline]] void nothing(std::uint64_t& counter) { ++counter; }

void indirect_call(Run& run, std::uint64_t) {
  void (*volatile function)(std::uint64_t&) = nothing;
  std::uint64_t counter = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) function(counter);
  run.stop();
  keep(counter);
}

// A doubly linked intrusive list of which the first is taken and put at the end, `count` long.
struct Node {
  Node* next = this;
  Node* previous = this;
  void unlink() {
    previous->next = next;
    next->previous = previous;
  }
  void link_before(Node& place) {
    next = &place;
    previous = place.previous;
    previous->next = this;
    place.previous = this;
  }
};

void list_push_pop(Run& run, std::uint64_t count) {
  Node head;
  std::vector<Node> nodes(count);
  for (Node& each : nodes) each.link_before(head);
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    Node* const first = head.next;
    first->unlink();
    keep(*first);
    first->link_before(head);
  }
  run.stop();
}

void malloc_free(Run& run, std::uint64_t bytes) {
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    void* block = std::malloc(bytes);
    keep(block);
    std::free(block);
  }
  run.stop();
}

void atomic_add(Run& run, std::uint64_t) {
  std::atomic<std::uint64_t> counter = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) counter.fetch_add(1, std::memory_order_relaxed);
  run.stop();
  keep(counter);
}

void clock_read(Run& run, std::uint64_t) {
  std::uint64_t sum = 0;
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) sum += bench::now_ns();
  run.stop();
  keep(sum);
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void futex_wake(std::atomic<std::uint32_t>& word) { ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

// Two threads that sleep in turns: one operation wakes both once.
void futex_round_trip(Run& run, std::uint64_t) {
  const auto count = static_cast<std::uint32_t>(run.operations());
  std::atomic<std::uint32_t> ping = 0;
  std::atomic<std::uint32_t> pong = 0;
  const auto await = [](std::atomic<std::uint32_t>& word, std::uint32_t value) {
    for (std::uint32_t seen = word.load(); seen != value; seen = word.load()) futex_wait(word, seen);
  };
  std::thread other([&] {
    bench::pin(bench::Side::counterpart);
    for (std::uint32_t i = 1; i <= count; ++i) {
      await(ping, i);
      pong = i;
      futex_wake(pong);
    }
  });
  run.start();
  for (std::uint32_t i = 1; i <= count; ++i) {
    ping = i;
    futex_wake(ping);
    await(pong, i);
  }
  run.stop();
  other.join();
}

void blocking_read(int eventfd) {
  pollfd entry{eventfd, POLLIN, 0};
  while (!bench::lower(eventfd)) {
    if (::poll(&entry, 1, -1) < 0 && errno != EINTR) bench::fail("poll");
  }
}

void eventfd_round_trip(Run& run, std::uint64_t) {
  const Fd ping(::eventfd(0, EFD_CLOEXEC), "eventfd");
  const Fd pong(::eventfd(0, EFD_CLOEXEC), "eventfd");
  const std::uint64_t count = run.operations();
  std::thread other([&] {
    bench::pin(bench::Side::counterpart);
    for (std::uint64_t i = 0; i < count; ++i) {
      bench::lower(ping.number());
      bench::raise(pong.number());
    }
  });
  run.start();
  for (std::uint64_t i = 0; i < count; ++i) {
    bench::raise(ping.number());
    bench::lower(pong.number());
  }
  run.stop();
  other.join();
}

void poll_idle(Run& run, std::uint64_t count) {
  const std::vector<Fd> fds = bench::idle_fds(count);
  std::vector<pollfd> entries;
  for (const Fd& each : fds) entries.push_back({each.number(), POLLIN, 0});
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    if (::poll(entries.data(), entries.size(), 0) != 0) bench::fail("poll");
  }
  run.stop();
}

// An epoll set that watches all of `fds`, edge-triggered.
Fd epoll_of(const std::vector<Fd>& fds) {
  Fd set(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  for (const Fd& each : fds) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = each.number();
    if (::epoll_ctl(set.number(), EPOLL_CTL_ADD, each.number(), &event) != 0) bench::fail("epoll_ctl");
  }
  return set;
}

void epoll_idle(Run& run, std::uint64_t count) {
  const std::vector<Fd> fds = bench::idle_fds(count);
  const Fd set = epoll_of(fds);
  epoll_event events[64];
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    if (::epoll_wait(set.number(), events, 64, 0) != 0) bench::fail("epoll_wait");
  }
  run.stop();
}

// One fd becomes ready, is waited for and read, while `count` others are idle.
void fd_wait(Run& run, std::uint64_t count) {
  std::vector<Fd> fds = bench::idle_fds(count + 1);
  const Fd set = epoll_of(fds);
  epoll_event events[64];
  run.start();
  for (std::uint64_t i = run.operations(); i > 0; --i) {
    bench::raise(fds.front().number());
    if (::epoll_wait(set.number(), events, 64, -1) != 1) bench::fail("epoll_wait");
    if (!bench::lower(events[0].data.fd)) bench::fail("read");
  }
  run.stop();
}

// A thread blocks in poll(2) on an eventfd until another writes to it.
void wake_parked(Run& run, std::uint64_t) {
  const Fd bell = bench::make_eventfd();
  bench::Handshake handshake;
  const std::uint64_t count = run.operations();
  std::thread other([&] { handshake.request_parked(count, run.slowdown(), [&] { bench::raise(bell.number()); }); });
  for (std::uint64_t i = 0; i < count; ++i) {
    blocking_read(bell.number());
    handshake.answer();
  }
  other.join();
  run.add_nanoseconds(handshake.total_ns);
}

// The same with a futex.
void wake_parked_futex(Run& run, std::uint64_t) {
  std::atomic<std::uint32_t> word = 0;
  bench::Handshake handshake;
  const std::uint64_t count = run.operations();
  std::thread other([&] {
    handshake.request_parked(count, run.slowdown(), [&] {
      word = 1;
      futex_wake(word);
    });
  });
  for (std::uint64_t i = 0; i < count; ++i) {
    while (word.exchange(0) == 0) futex_wait(word, 0);
    handshake.answer();
  }
  other.join();
  run.add_nanoseconds(handshake.total_ns);
}

// Two threads that spin.
void wake_busy(Run& run, std::uint64_t) {
  bench::Handshake handshake;
  const std::uint64_t count = run.operations();
  std::thread other([&] {
    for (std::uint64_t i = 1; i <= count; ++i) handshake.request(i, [] {});
  });
  run.start();
  for (std::uint64_t i = 0; i < count;) i += handshake.answer() ? 1 : 0;
  run.stop();
  other.join();
}

// An exchange of a word that is set already, in a cache line that nobody else uses meanwhile.
void wake_redundant(Run& run, std::uint64_t) {
  std::atomic<std::uint32_t> word = 1;
  const std::uint64_t count = run.operations();
  std::thread([&] {
    run.start();
    for (std::uint64_t i = 0; i < count; ++i) word.fetch_or(1, std::memory_order_acq_rel);
    run.stop();
  }).join();
  keep(word);
}

// Level-triggered epoll, and a read and a write for each message.
void echo(Run& run, std::uint64_t connections) {
  std::uint16_t port = 0;
  const Fd listener = bench::listen_on_any_port(port);
  const Fd set(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  bench::EchoClient client(port, connections, run);
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(set.number(), EPOLL_CTL_ADD, fd, &event) != 0) bench::fail("epoll_ctl");
  };
  watch(listener.number());
  std::uint64_t open = 0;
  std::uint64_t accepted = 0;
  epoll_event events[128];
  while (open > 0 || accepted < connections) {
    const int count = ::epoll_wait(set.number(), events, 128, -1);
    if (count < 0) bench::fail("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener.number()) {
        const int accepted_fd = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted_fd < 0) continue;
        watch(accepted_fd);
        ++open;
        ++accepted;
        continue;
      }
      char buffer[bench::echo_buffer_bytes];
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      if (got > 0) {
        if (::send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) bench::fail("send");
      } else if (got == 0) {
        ::close(fd);
        --open;
      }
    }
  }
  run.add_nanoseconds(client.nanoseconds());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Row> rows = {
      {"resume/1", resume, 1, 1},
      {"resume/1000", resume, 1000, 1000},
      {"create_destroy", create_destroy},
      {"indirect_call", indirect_call},
      {"list_push_pop", list_push_pop, 1000},
      {"malloc_free", malloc_free, 96},
      {"atomic_add", atomic_add},
      {"clock_read", clock_read},
      {"futex_round_trip", futex_round_trip},
      {"eventfd_round_trip", eventfd_round_trip},
      {"poll/1", poll_idle, 1},
      {"poll/1000", poll_idle, 1000},
      {"epoll_wait/1", epoll_idle, 1},
      {"epoll_wait/1000", epoll_idle, 1000},
      {"wake_parked", wake_parked},
      {"wake_parked_futex", wake_parked_futex},
      {"wake_busy", wake_busy},
      {"wake_redundant", wake_redundant},
      {"echo/1", echo, 1},
      {"echo/100", echo, 100},
      {"fd_wait/10000", fd_wait, 10000},
  };
  bench::add_sizes(rows, "bare_create", create_all, 1);
  bench::add_sizes(rows, "bare_resume", resume, 4);
  return bench::run_program(CONTENDER, rows, argc, argv);
}
