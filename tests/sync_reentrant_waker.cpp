// Shows that a waker whose clone, wake or drop runs code that uses the very primitive which is handling it neither
// loses a wake nor finds a half-made state: the waiter is Ready, or the waker that it was last polled with is woken
// (BUGS D01, D02, B24).
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/generators/catch_generators_range.hpp>

#include "sync_support.hpp"

using namespace assay;
using namespace assay::test;

namespace {

// One future that waits, and the one act that makes it Ready.
struct Scene {
  Scene() = default;
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  virtual ~Scene() = default;
  virtual bool poll(Hand& hand) = 0;  // true: Ready
  virtual void complete() = 0;        // at most once
  virtual void drop_future() = 0;
  // The future is gone: what complete() gave it must be there for the next one.
  virtual bool nothing_was_lost(bool completed_before) = 0;
};

struct NotifyScene : Scene {
  Notify notify{};
  std::optional<Notify::Notified> future{notify.notified()};
  bool poll(Hand& hand) override { return hand.is_ready(*future); }
  void complete() override { notify.notify_one(); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override {
    Hand other;
    auto next = notify.notified();
    return other.is_ready(next);
  }
};

struct NotifyAllScene : NotifyScene {
  void complete() override { notify.notify_all(); }
  bool nothing_was_lost(bool) override { return true; }
};

struct SemaphoreScene : Scene {
  Semaphore semaphore{1};
  std::optional<Semaphore::Permit> taken{semaphore.try_acquire()};
  std::optional<Semaphore::Acquire> future{semaphore.acquire()};
  std::optional<Semaphore::Permit> got{};
  bool poll(Hand& hand) override {
    Poll<Semaphore::Permit> result = hand.poll(*future);
    if (result.is_pending()) return false;
    got.emplace(std::move(result).take());
    return true;
  }
  void complete() override { taken.reset(); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return semaphore.available() == 1; }
};

struct SemaphoreAddScene : SemaphoreScene {
  void complete() override { semaphore.add(1); }
};

struct MutexScene : Scene {
  using Guard = Mutex<int>::Guard;
  Mutex<int> mutex{6};
  std::optional<Guard> held{mutex.try_lock()};
  std::optional<Mutex<int>::Lock> future{mutex.lock()};
  std::optional<Guard> got{};
  bool poll(Hand& hand) override {
    Poll<Guard> result = hand.poll(*future);
    if (result.is_pending()) return false;
    got.emplace(std::move(result).take());
    return true;
  }
  void complete() override { held.reset(); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return mutex.try_lock().has_value(); }
};

struct OneshotScene : Scene {
  std::optional<OneshotSender<int>> sender{};
  std::optional<OneshotReceiver<int>> future{};
  OneshotScene() {
    auto [tx, rx] = oneshot<int>();
    sender.emplace(std::move(tx));
    future.emplace(std::move(rx));
  }
  bool poll(Hand& hand) override { return hand.is_ready(*future); }
  void complete() override { static_cast<void>(sender->send(6)); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return sender->is_closed(); }
};

struct OneshotDropScene : OneshotScene {
  void complete() override { sender.reset(); }
  bool nothing_was_lost(bool) override { return true; }
};

struct ChannelScene : Scene {
  std::optional<Sender<int>> sender{};
  std::optional<Receiver<int>> receiver{};
  ChannelScene() {
    auto [tx, rx] = channel<int>(1);
    sender.emplace(std::move(tx));
    receiver.emplace(std::move(rx));
  }
};

struct ReceiveScene : ChannelScene {
  std::optional<assay::detail::ChannelRecv<int>> future{receiver->recv()};
  bool poll(Hand& hand) override { return hand.is_ready(*future); }
  void complete() override { CHECK_FALSE(sender->try_send(6).has_value()); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return receiver->try_recv() == 6; }
};

struct ReceiveClosedScene : ReceiveScene {
  void complete() override { sender.reset(); }
  bool nothing_was_lost(bool) override { return true; }
};

struct SendScene : ChannelScene {
  std::optional<assay::detail::ChannelSend<int>> future{};
  SendScene() {
    CHECK_FALSE(sender->try_send(1).has_value());
    future.emplace(sender->send(2));
  }
  bool poll(Hand& hand) override { return hand.is_ready(*future); }
  void complete() override { CHECK(receiver->try_recv() == 1); }
  void drop_future() override { future.reset(); }
  // The value arrives if its turn came before the future was dropped, and only then.
  bool nothing_was_lost(bool completed_before) override {
    return receiver->try_recv() == (completed_before ? std::optional<int>(2) : std::nullopt) && receiver->size() == 0;
  }
};

struct SendRefusedScene : SendScene {
  void complete() override { receiver.reset(); }
  bool nothing_was_lost(bool) override { return sender->is_closed(); }
};

struct GroupScene : Scene {
  Executor executor{};
  TaskGroup group{executor};
  std::optional<TaskGroup::JoinAll> future{group.join_all()};
  GroupScene() { group.spawn(forever()); }
  bool poll(Hand& hand) override { return hand.is_ready(*future); }
  void complete() override { group.cancel_all(); }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return group.empty(); }
};

struct JoinHandleScene : Scene {
  Executor executor{};
  std::optional<JoinHandle<int>> future{executor.spawn(forever<int>())};
  bool poll(Hand& hand) override {
    try {
      return hand.is_ready(*future);
    } catch (const TaskCancelled&) {
      return true;
    }
  }
  void complete() override {
    if (!future->is_empty()) future->cancel();
  }
  void drop_future() override { future.reset(); }
  bool nothing_was_lost(bool) override { return executor.run_until_stalled() == 0 && executor.live_tasks() == 0; }
};

struct Wait {
  const char* name;
  std::unique_ptr<Scene> (*make)();
  bool may_complete_in_drop = true;
};
std::ostream& operator<<(std::ostream& out, const Wait& wait) { return out << wait.name; }

template <class S>
std::unique_ptr<Scene> make() {
  return std::make_unique<S>();
}

constexpr Wait waits[] = {
    {"Notify, notify_one", make<NotifyScene>},
    {"Notify, notify_all", make<NotifyAllScene>},
    {"Semaphore, permit returned", make<SemaphoreScene>},
    {"Semaphore, permits added", make<SemaphoreAddScene>},
    {"Mutex", make<MutexScene>},
    {"oneshot, sent", make<OneshotScene>},
    {"oneshot, sender dropped", make<OneshotDropScene>},
    {"channel receive, sent", make<ReceiveScene>},
    {"channel receive, sender dropped", make<ReceiveClosedScene>},
    {"channel send, received", make<SendScene>},
    {"channel send, receiver dropped", make<SendRefusedScene>},
    {"TaskGroup join_all", make<GroupScene>},
    {"JoinHandle", make<JoinHandleScene>, false},  // its drop cancels the task anyway
};

const Wait& any_wait() { return waits[GENERATE(range(std::size_t{0}, std::size(waits)))]; }

// Ready now, or woken through `hand` and Ready then.
void check_not_lost(Scene& scene, Hand& hand, bool ready) {
  if (!ready) {
    CHECK(hand.counting.wakes() == 1);
    ready = scene.poll(hand);
  }
  CHECK(ready);
}

}  // namespace

TEST_CASE("completed while the waker is cloned, at the first poll", "[sync][reentrant]") {
  const Wait& wait = any_wait();
  CAPTURE(wait);
  Hand a;
  const auto scene = wait.make();
  a.counting.on_clone = [&] { std::exchange(a.counting.on_clone, nullptr), scene->complete(); };
  const bool ready = scene->poll(a);
  check_not_lost(*scene, a, ready);
  scene->drop_future();
  CHECK(a.kept() == 0);
}

TEST_CASE("completed while another waker is cloned, at a later poll", "[sync][reentrant]") {
  const Wait& wait = any_wait();
  CAPTURE(wait);
  Hand a, b;
  const auto scene = wait.make();
  CHECK_FALSE(scene->poll(a));
  CHECK(a.kept() == 1);
  b.counting.on_clone = [&] { std::exchange(b.counting.on_clone, nullptr), scene->complete(); };
  const bool ready = scene->poll(b);
  check_not_lost(*scene, b, ready);
  scene->drop_future();
  CHECK(a.kept() == 0);
  CHECK(b.kept() == 0);
}

TEST_CASE("completed while the waker of the poll before is dropped", "[sync][reentrant]") {
  const Wait& wait = any_wait();
  CAPTURE(wait);
  Hand a, b;
  const auto scene = wait.make();
  CHECK_FALSE(scene->poll(a));
  a.counting.on_drop = [&] { std::exchange(a.counting.on_drop, nullptr), scene->complete(); };
  const bool ready = scene->poll(b);
  CHECK(a.counting.wakes() == 0);
  check_not_lost(*scene, b, ready);
  scene->drop_future();
  CHECK(a.kept() == 0);
  CHECK(b.kept() == 0);
}

TEST_CASE("completed while the waiter is dropped, by its waker's end", "[sync][reentrant]") {
  const Wait& wait = any_wait();
  if (!wait.may_complete_in_drop) return;
  CAPTURE(wait);
  Hand a;
  const auto scene = wait.make();
  CHECK_FALSE(scene->poll(a));
  a.counting.on_drop = [&] { std::exchange(a.counting.on_drop, nullptr), scene->complete(); };
  scene->drop_future();
  CHECK_FALSE(a.counting.on_drop);
  CHECK(a.seen() == Seen{});
  CHECK(scene->nothing_was_lost(false));
}

TEST_CASE("the waiter is dropped by the wake that completes it", "[sync][reentrant]") {
  const Wait& wait = any_wait();
  CAPTURE(wait);
  Hand a;
  const auto scene = wait.make();
  CHECK_FALSE(scene->poll(a));
  a.counting.on_wake = [&] { scene->drop_future(); };
  scene->complete();
  CHECK(a.counting.wakes() == 1);
  CHECK(a.kept() == 0);
  CHECK(scene->nothing_was_lost(true));
}

TEST_CASE("a wake that notifies again serves the next in line", "[sync][notify][reentrant]") {
  Hand a, b, c;
  Notify notify;
  auto first = notify.notified();
  auto second = notify.notified();
  auto third = notify.notified();
  CHECK_FALSE(a.is_ready(first));
  CHECK_FALSE(b.is_ready(second));
  CHECK_FALSE(c.is_ready(third));
  a.counting.on_wake = [&] { notify.notify_one(); };
  b.counting.on_wake = [&] { notify.notify_one(); };
  notify.notify_one();
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK(c.seen() == Seen{.wakes = 1});
  CHECK(a.is_ready(first));
  CHECK(b.is_ready(second));
  CHECK(c.is_ready(third));
}

TEST_CASE("notify_all with wakes that use the Notify", "[sync][notify][reentrant]") {
  Hand a, b, c, d;
  Notify notify;
  auto first = notify.notified();
  std::optional<Notify::Notified> second(notify.notified());
  auto third = notify.notified();
  auto late = notify.notified();
  CHECK_FALSE(a.is_ready(first));
  CHECK_FALSE(b.is_ready(*second));
  CHECK_FALSE(c.is_ready(third));
  SECTION("drop another who waits") {
    a.counting.on_wake = [&] { second.reset(); };
    notify.notify_all();
    CHECK(b.seen() == Seen{});
    CHECK_FALSE(d.is_ready(late));
  }
  SECTION("begin to wait: that is too late for this one") {
    a.counting.on_wake = [&] { CHECK_FALSE(d.is_ready(late)); };
    notify.notify_all();
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(d.seen() == Seen{.kept = 1});
  }
  SECTION("notify all again: nobody is woken twice") {
    a.counting.on_wake = [&] { notify.notify_all(); };
    notify.notify_all();
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK_FALSE(d.is_ready(late));
  }
  SECTION("notify one: all who wait are served, so it is remembered") {
    a.counting.on_wake = [&] { notify.notify_one(); };
    notify.notify_all();
    CHECK(b.seen() == Seen{.wakes = 1});
    CHECK(d.is_ready(late));
  }
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(c.seen() == Seen{.wakes = 1});
  CHECK(a.is_ready(first));
  CHECK(c.is_ready(third));
}

TEST_CASE("a wake that takes a permit leaves what is left to the next", "[sync][semaphore][reentrant]") {
  Hand a, b;
  Semaphore semaphore(0);
  auto first = semaphore.acquire();
  auto second = semaphore.acquire(2);
  CHECK(a.poll(first).is_pending());
  CHECK(b.poll(second).is_pending());
  bool passed_by = false;
  a.counting.on_wake = [&] {
    passed_by = semaphore.try_acquire().has_value();
    semaphore.add(1);
  };
  semaphore.add(2);
  CHECK_FALSE(passed_by);  // somebody waits: nobody may pass
  CHECK(a.seen() == Seen{.wakes = 1});
  CHECK(b.seen() == Seen{.wakes = 1});
  CHECK(semaphore.available() == 0);
  const auto one = a.poll(first).take();
  const auto two = b.poll(second).take();
  CHECK(one.count() == 1);
  CHECK(two.count() == 2);
}

TEST_CASE("a value whose end uses the channel finds its sender gone from the line", "[sync][channel][reentrant]") {
  struct Meddler {
    explicit Meddler(std::function<void()> at_end) : action(std::move(at_end)) {}
    Meddler(Meddler&& other) noexcept : action(std::exchange(other.action, nullptr)) {}
    Meddler& operator=(Meddler&& other) noexcept {
      std::swap(action, other.action);
      return *this;
    }
    ~Meddler() {
      if (action) action();
    }
    std::function<void()> action;
  };
  Hand a;
  auto [sender, receiver] = channel<Meddler>(1);
  CHECK_FALSE(sender.try_send(Meddler(nullptr)).has_value());
  Receiver<Meddler>& rx = receiver;
  int ends = 0;
  {
    auto send = sender.send(Meddler([&] {
      ++ends;
      CHECK(rx.try_recv().has_value());  // frees a place, for which nobody waits any more
      CHECK(rx.size() == 0);
    }));
    CHECK(a.poll(send).is_pending());
  }
  CHECK(ends == 1);
  CHECK(a.seen() == Seen{});
  CHECK_FALSE(rx.try_recv().has_value());
}
