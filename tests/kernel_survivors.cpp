// Shows what the rest of the suite left open: each case kills mutants of runtime/assay/audited/ (see mutants/automatic) that
// had survived all other tests.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "assay/audited/frame_pool.hpp"
#include "assay/audited/intrusive_list.hpp"
#include "assay/audited/poison.hpp"
#include "assay/audited/slab_chunk.hpp"
#include "assay/audited/slot.hpp"
#include "assay/audited/sync.hpp"
#include "assay/audited/system.hpp"
#include "assay/executor.hpp"
#include "assay/pin.hpp"
#include "assay/scheduler.hpp"
#include "assay/slab.hpp"
#include "assay/waker.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;
using audited::SlabChunk;
using audited::SlabSlot;
using testkit::allocation_counts;
using testkit::Counted;
using testkit::Ledger;

TEST_CASE("frame pool: a thread that ends gives its cache back, and caches nothing after that", "[kernel][frame_pool][thread]") {
  using Deletes = std::array<std::uint64_t, 3>;  // of this thread: with the cache full, without it, and after one more frame
  struct Before {
    Deletes* deletes = nullptr;
    ~Before() {
      if (deletes != nullptr) deletes->at(0) = allocation_counts().deletes;
    }
  };
  struct After {
    Deletes* deletes = nullptr;
    void* frame = nullptr;
    ~After() {
      if (deletes == nullptr) return;
      deletes->at(1) = allocation_counts().deletes;
      audited::free_frame(frame, 100);
      deletes->at(2) = allocation_counts().deletes;
    }
  };
  Deletes deletes{};
  constexpr std::size_t kept = 5;
  std::thread([&] {
    static thread_local After after;  // made before the pool's own, which ends in between
    after.deletes = &deletes;
    after.frame = audited::take_frame(100);
    std::array<void*, kept> frames{};
    for (void*& frame : frames) frame = audited::take_frame(100);
    for (void* const frame : frames) audited::free_frame(frame, 100);
    static thread_local Before before;
    before.deletes = &deletes;
  }).join();
  if (audited::FrameClasses::pass_through) return;  // there is no cache
  CHECK(deletes.at(1) - deletes.at(0) == kept);
  CHECK(deletes.at(2) - deletes.at(1) == 1);
}

TEST_CASE("a chunk's slots lie side by side in its 32 KiB, as many as fit and as were asked for", "[kernel][slab]") {
  constexpr std::size_t whole = std::size_t{32} << 10;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{1024}, std::size_t{4096}, whole, 3 * whole}) {
    for (const std::size_t most : {std::size_t{1}, std::size_t{5}, std::size_t{10'000}}) {
      CAPTURE(bytes, most);
      detail::SlabClass size_class{};
      const auto chunk = SlabChunk::make(bytes, most, size_class);
      const std::size_t rounded = (bytes + 63) / 64 * 64;
      const std::size_t fit = (whole - sizeof(SlabChunk)) / rounded;
      REQUIRE(chunk->slots().size() == (fit == 0 ? 1 : fit < most ? fit : most));
      CHECK(reinterpret_cast<std::uintptr_t>(chunk.get()) % whole == 0);
      const std::byte* expected = reinterpret_cast<const std::byte*>(chunk.get()) + sizeof(SlabChunk);
      for (SlabSlot& slot : chunk->slots()) {
        if (slot.bytes() != expected || slot.size() != rounded || slot.generation() != 0) FAIL("a slot is elsewhere, or of another size");
        expected += rounded;
      }
    }
  }
}

TEST_CASE("abort: a waker's table with an empty entry, each of the four", "[kernel][waker][abort]") {
  static constexpr auto clone = [](void*) noexcept { return RawWaker{}; };
  static constexpr auto nothing = [](void*) noexcept {};
  static constexpr std::array<RawWakerVTable, 4> tables{
      RawWakerVTable{nullptr, nothing, nothing, nothing}, RawWakerVTable{clone, nullptr, nothing, nothing},
      RawWakerVTable{clone, nothing, nullptr, nothing}, RawWakerVTable{clone, nothing, nothing, nullptr}};
  for (const RawWakerVTable& table : tables) {
    check_dies_from_level<2>("Waker::from_raw was given a vtable with an empty entry", [&] { Waker::from_raw({nullptr, &table}); });
  }
}

TEST_CASE("frame pool: a cache that is full of its own thread's frames takes no other's", "[kernel][frame_pool][thread]") {
  if (audited::FrameClasses::pass_through) SKIP("the frame pool passes through in this build");
  constexpr std::size_t size = 2048;
  constexpr std::size_t own = audited::FrameClasses::limit(audited::FrameClasses::class_of(size)) + 1;
  void* others = nullptr;
  std::thread([&] { others = audited::take_frame(size); }).join();
  std::size_t kept = 0, kept_after = 0;
  std::uint64_t deletes = 0;
  bool is_newest_first = false;
  // On a thread of its own, which has had no other frames: those that it has had are what it keeps.
  std::thread([&] {
    std::vector<void*> frames;
    for (std::size_t i = 0; i < own; ++i) frames.push_back(audited::take_frame(size));
    for (void* const frame : frames) audited::free_frame(frame, size);
    kept = audited::check_frame_pool();
    const std::uint64_t before = allocation_counts().deletes;
    audited::free_frame(others, size);
    kept_after = audited::check_frame_pool();
    deletes = allocation_counts().deletes - before;
    void* const next = audited::take_frame(size);
    is_newest_first = next == frames.back();
    audited::free_frame(next, size);
  }).join();
  CHECK(kept_after == kept);
  CHECK(deletes == 1);
  CHECK(is_newest_first == (ASSAY_HARDENING_LEVEL < 3));  // level 3 hands out the oldest
}

TEST_CASE("a chunk's memory goes with it", "[kernel][slab]") {
  detail::SlabClass size_class{};
  const testkit::AllocationCounts before = allocation_counts();
  SlabChunk::make(64, 4, size_class).reset();
  CHECK(allocation_counts().news > before.news);
  CHECK(allocation_counts().news - before.news == allocation_counts().deletes - before.deletes);
}

TEST_CASE("a list's item that has left has no links, and each broken link is found by itself", "[kernel][list][abort]") {
  struct Item : audited::ListNode<Item> {};
  static constexpr std::size_t size = sizeof(void*);  // of a link: first that to the next item, then that to the one before
  const auto bytes_of = [](Item& item) { return reinterpret_cast<std::byte*>(&item); };
  audited::IntrusiveList<Item> list;
  std::array<Item, 3> items;
  for (Item& item : items) list.push_back(item);
  CHECK(list.check_deep() == 3);
  items.at(1).unlink();
  CHECK(std::all_of(bytes_of(items.at(1)), bytes_of(items.at(1)) + 2 * size, [](std::byte each) { return each == std::byte{0}; }));
  list.push_back(items.at(1));
  for (const std::size_t at : {std::size_t{0}, size}) {
    CAPTURE(at);
    check_dies("internal: a list's links are broken", [&] {
      std::memset(bytes_of(items.at(2)) + at, 0, size);
      static_cast<void>(list.check_deep());
      std::_Exit(0);
    });
  }
}

TEST_CASE("abort: each counter of a PinRc is looked at, by itself", "[kernel][pin][abort]") {
  using Rc = PinRc<std::uint64_t>;
  // The block's counters, behind them the owner's id and, at level 3, what the slot holds, then the value.
  constexpr std::size_t before = ASSAY_HARDENING_LEVEL >= 3 ? 24 : 16;
  const auto counters = [](const Rc& strong) { return reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(&*strong) - before); };
  const Rc whole = Rc::make(7U);
  const Rc second = whole;
  const PinWeak<std::uint64_t> weak(whole);
  REQUIRE(counters(whole)[0] == 2);
  REQUIRE(counters(whole)[1] == 2);
  for (const std::size_t which : {0U, 1U}) {
    CAPTURE(which);
    check_dies("internal: a PinRc's counters are broken", [&] {
      counters(whole)[which] = 0;
      whole.check_deep();
      std::_Exit(0);  // before the destructors find it
    });
    check_dies_from_level<2>("internal: a PinRc's counters are broken", [&] {
      Rc third = whole;
      counters(whole)[which] = 0;
      { const Rc gone = std::move(third); }
      std::_Exit(0);
    });
  }
}

TEST_CASE("a function waker may have 2^62 copies", "[kernel][waker][abort]") {
  struct Nothing {
    void operator()() const {}
  };
  const auto copy_at = [](std::uint64_t count) {
    return [count] {
      const Waker waker = function_waker(Nothing());
      static_cast<audited::sync::Atomic<std::uint64_t>*>(waker.as_raw().data)->exchange_acq_rel(count);
      const Waker copy = waker;
      std::_Exit(0);
    };
  };
  check_survives(copy_at((std::uint64_t{1} << 62) - 1));
  check_dies("too many copies of one function waker are alive", copy_at(std::uint64_t{1} << 62));
}

TEST_CASE("a mutex is held from lock() to unlock(), also by who has waited", "[kernel][park]") {
  namespace sync = audited::sync;
  const auto is_free = [](sync::Mutex& mutex) {
    bool got = false;
    std::thread([&] {
      got = mutex.native().try_lock();
      if (got) mutex.native().unlock();
    }).join();
    return got;
  };
#if defined(__GLIBC__)
  const auto users = [](sync::Mutex& mutex) { return mutex.native().native_handle()->__data.__nusers; };
#else
  const auto users = [](sync::Mutex&) { return 0; };
#endif
  sync::Mutex mutex;
  CHECK(is_free(mutex));
  mutex.lock();
  CHECK_FALSE(is_free(mutex));
  mutex.unlock();
  CHECK(is_free(mutex));
  CHECK(users(mutex) == 0);
  {
    const sync::Lock lock(mutex);
    CHECK_FALSE(is_free(mutex));
  }
  CHECK(is_free(mutex));
  CHECK(users(mutex) == 0);
  sync::Condition condition;
  bool told = false;
  std::thread teller;
  {
    const sync::Lock lock(mutex);
    teller = std::thread([&] {
      const sync::Lock theirs(mutex);
      told = true;
      condition.notify_one();
    });
    while (!told) condition.wait(mutex);
    CHECK_FALSE(is_free(mutex));
  }
  teller.join();
  CHECK(is_free(mutex));
}

TEST_CASE("what the kernel asks of its descriptors: close on exec, never block, the monotonic clock", "[kernel][system]") {
  const int event = audited::make_eventfd();
  const int timer = audited::make_timerfd();
  const int epoll = audited::make_epoll();
  for (const int fd : {event, timer, epoll}) {
    REQUIRE(fd >= 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    if (fd != epoll) CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  }
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(timer));
  const std::string text((std::istreambuf_iterator<char>(info)), {});
  CHECK(text.find("clockid: " + std::to_string(CLOCK_MONOTONIC) + "\n") != std::string::npos);
  for (const int fd : {event, timer, epoll}) CHECK(audited::close_fd(fd) == 0);
}

TEST_CASE("abort: a LocalWaker is copied on another thread, before the copy is dropped", "[thread][abort]") {
  check_dies("used on another thread than its executor's", [] {
    Executor executor;
    LocalWaker kept;
    Ledger ledger;
    executor.spawn_detached(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
      kept = context.local_waker();
      return Pending;
    }));
    executor.run_until_stalled();
    std::thread([&] {
      alignas(LocalWaker) std::array<std::byte, sizeof(LocalWaker)> bytes;
      ::new (static_cast<void*>(bytes.data())) LocalWaker(kept);
      std::_Exit(0);
    }).join();
  });
}

TEST_CASE("a wake through the last LocalWaker comes before that is gone: the task is not stranded", "[kernel][waker]") {
  Ledger ledger;
  {
    Executor executor;
    LocalWaker kept;
    executor.spawn_detached(ScriptedFuture<int>(ledger, [&](Context& context) -> Poll<int> {
      if (ledger.polls > 1) return Ready(1);
      kept = context.local_waker();
      return Pending;
    }));
    executor.run_until_stalled();
    std::move(kept).wake();
    CHECK(executor.stats().stranded == 0);
    CHECK(executor.run_until_stalled() == 1);
    CHECK(executor.stats().completed == 1);
    CHECK(executor.stats().stranded == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("an output that is taken is gone from its task at once", "[kernel][task]") {
  Ledger ledger;
  {
    detail::SchedulerOwner scheduler{detail::SlabOptions{}};
    auto* const task = scheduler->spawn<ScriptedFuture<Counted>>(
        "taken", ScriptedFuture<Counted>(ledger, [&](Context&) -> Poll<Counted> { return Ready(Counted(ledger, 7)); }));
    const detail::TaskHandle<Counted> handle(*scheduler, *task);
    CHECK(scheduler->run_one(nullptr));
    CHECK(task->has(audited::TaskFlags::has_output));
    {
      const auto taken = task->typed_vtable().take_output(*task);
      CHECK_FALSE(task->has(audited::TaskFlags::has_output));
      CHECK(ledger.values_alive() == 1);  // the one that was taken
    }
    CHECK(ledger.values_alive() == 0);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("abort: a slot is empty before the destructor of what was in it runs, at level 3", "[kernel][slot][abort]") {
  struct Looks {
    explicit Looks(audited::Slot<Looks>& given) : slot(given) {}
    ~Looks() {
      static_cast<void>(slot.template get<0>());
      std::_Exit(0);
    }
    audited::Slot<Looks>& slot;
  };
  check_dies_from_level<3>("internal: an object was read that is not in its slot", [] {
    audited::Slot<Looks> slot;
    slot.construct<0>(slot);
    slot.destroy<0>();
  });
}

namespace {

// An output that looks at its task when it is destroyed, and whose n-th move throws.
struct Watcher {
  struct Record {
    audited::TaskHeader* task = nullptr;
    int moves_left = 1000;
    int alive = 0;
    bool flag_seen = false;
  };
  explicit Watcher(Record& given) : record(&given) { ++record->alive; }
  Watcher(Watcher&& other) : record(other.record) {
    if (record->moves_left-- == 0) throw std::runtime_error("moved once too often");
    ++record->alive;
  }
  Watcher& operator=(Watcher&&) = delete;
  ~Watcher() {
    --record->alive;
    if (record->task != nullptr && record->alive == 0) record->flag_seen |= record->task->has(audited::TaskFlags::has_output);
  }
  Record* record;
};

struct Yields {
  using Output = Watcher;
  Watcher::Record* record;
  Poll<Watcher> poll(Context&) { return Ready(Watcher(*record)); }
};

}  // namespace

TEST_CASE("an output's flag is gone before the output, and never there for one that was not made", "[kernel][task][throw]") {
  bool moved_without_a_throw = false;
  for (int moves = 0; !moved_without_a_throw; ++moves) {
    CAPTURE(moves);
    REQUIRE(moves < 20);
    Watcher::Record record;
    record.moves_left = moves;
    detail::SchedulerOwner scheduler{detail::SlabOptions{}};
    auto* const task = scheduler->spawn<Yields>("yields", Yields{&record});
    detail::TaskHandle<Watcher> handle(*scheduler, *task);
    CHECK(scheduler->run_one(nullptr));
    CHECK(task->has(audited::TaskFlags::has_output) != task->has(audited::TaskFlags::has_exception));
    moved_without_a_throw = task->has(audited::TaskFlags::has_output);
    CHECK(record.alive == (moved_without_a_throw ? 1 : 0));
    record.task = task;
    task->vtable->drop_outcome(*task);
    CHECK(record.alive == 0);
    CHECK_FALSE(record.flag_seen);
  }
}

#if defined(ASSAY_WITH_ASAN)
TEST_CASE("poison: what a frame does not need of its block, what was given back, and an orphan's memory", "[kernel][poison]") {
  const auto poisoned = [](const void* at, std::size_t offset = 0) {
    return __asan_address_is_poisoned(static_cast<const std::byte*>(at) + offset) != 0;
  };
  audited::trim_frame_pool();
  for (const std::size_t size : {std::size_t{8}, std::size_t{104}}) {  // of blocks of 32 and of 128 bytes
    CAPTURE(size);
    void* const frame = audited::take_frame(size);
    CHECK_FALSE(poisoned(frame, size - 1));
    CHECK(poisoned(frame, size));
    audited::free_frame(frame, size);
    CHECK(poisoned(frame));
    audited::trim_frame_pool();
    CHECK(poisoned(frame));  // the system's now, and not made addressable after that
  }
  const std::uint64_t* value = nullptr;
  {
    const PinRc<std::uint64_t> strong = PinRc<std::uint64_t>::make(7U);
    value = &*strong;
    CHECK_FALSE(poisoned(value));
  }
  CHECK(poisoned(value));
  Ledger ledger;
  std::array<Waker, 2> kept;
  {
    Executor executor;
    for (Waker& each : kept) {
      executor.spawn_detached(ScriptedFuture<int>(ledger, [&each](Context& context) -> Poll<int> {
        each = context.waker();
        return Pending;
      }));
    }
    executor.run_until_stalled();
  }
  const void* const orphan = kept.at(0).as_raw().data;
  CHECK_FALSE(poisoned(orphan));
  kept.at(0) = Waker();
  CHECK(poisoned(orphan));  // while the other keeps the memory of both
}
#endif
