// Shows the intrusive heap under the timers: order by key and then by insertion, removal from anywhere, also from the run
// that gather() makes, nodes and heaps that die in either order, against a sorted reference with check_deep() after every
// step; and the abort of each misuse.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include "assay/intrusive_heap.hpp"
#include "support/dies.hpp"

using assay::HeapNode;
using assay::IntrusiveHeap;
using assay::test::check_dies;

namespace {

struct Item final : HeapNode<Item> {
  explicit Item(int given) : id(given) {}
  int id;
};
using Heap = IntrusiveHeap<Item>;

}  // namespace

TEST_CASE("intrusive heap: equal keys come in the order of insertion", "[kernel][heap]") {
  Heap heap;
  std::deque<Item> items;
  CHECK(heap.empty());
  CHECK(heap.front() == nullptr);
  CHECK(heap.check_deep() == 0);
  for (int i = 0; i < 20; ++i) {
    items.emplace_back(i);
    heap.push(items.back(), i % 2 == 0 ? 5 : 3);
    CHECK(heap.check_deep() == static_cast<std::size_t>(i) + 1);
    CHECK(heap.size() == static_cast<std::size_t>(i) + 1);
  }
  std::vector<int> order;
  while (Item* const first = heap.front()) {
    order.push_back(first->id);
    CHECK(first->is_linked());
    first->unlink();
    CHECK_FALSE(first->is_linked());
    CHECK(heap.check_deep() == 20 - order.size());
  }
  CHECK(order == std::vector<int>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18});
}

TEST_CASE("intrusive heap: the extremes of the key", "[kernel][heap]") {
  Heap heap;
  Item last(3);
  Item first(1);
  Item middle(2);
  heap.push(last, std::numeric_limits<std::int64_t>::max());
  heap.push(first, std::numeric_limits<std::int64_t>::min());
  heap.push(middle, 0);
  CHECK(heap.check_deep() == 3);
  CHECK(heap.front() == &first);
  CHECK(first.key() == std::numeric_limits<std::int64_t>::min());
  first.unlink();
  CHECK(heap.front() == &middle);
  middle.unlink();
  CHECK(heap.front() == &last);
  CHECK(heap.check_deep() == 1);
}

TEST_CASE("intrusive heap: random operations against a sorted vector", "[kernel][heap]") {
  const unsigned seed = GENERATE(1U, 2U, 3U, 4U, 5U);
  const int keys = GENERATE(1, 4, 1000);
  const std::size_t few = GENERATE(1U, 3U, 100U);
  CAPTURE(seed, keys, few);
  struct Entry {
    std::int64_t key;
    std::uint64_t sequence;
    int id;
  };
  std::mt19937 random(seed);
  std::vector<std::optional<Item>> items(40);
  std::optional<Heap> heap(std::in_place, few);
  std::vector<Entry> model;
  std::int64_t gathered = -1;  // while something is left of a run: nothing is pushed before it
  std::uint64_t sequence = 0;
  const auto before = [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.sequence < b.sequence;
  };
  std::uint64_t pushes = 0;
  std::uint64_t long_runs = 0;
  for (int step = 0; step < 2000; ++step) {
    const std::size_t at = random() % items.size();
    std::optional<Item>& item = items.at(at);
    const auto forget = [&] {
      std::erase_if(model, [&](const Entry& entry) { return entry.id == static_cast<int>(at); });
    };
    if (heap->run_front() == nullptr) gathered = -1;
    switch (random() % 6) {
      case 0:
      case 1:
        if (!item) item.emplace(static_cast<int>(at));
        if (!item->is_linked()) {
          const auto key = std::max(gathered, static_cast<std::int64_t>(random() % static_cast<unsigned>(keys)));
          heap->push(*item, key);
          model.push_back({key, sequence++, static_cast<int>(at)});
          ++pushes;
        }
        break;
      case 2:
        if (item && item->is_linked()) {
          item->unlink();
          forget();
        }
        break;
      case 3:
        item.reset();  // leaves by itself
        forget();
        break;
      case 4: {
        const auto limit = static_cast<std::int64_t>(random() % static_cast<unsigned>(keys));
        heap->gather(limit);
        gathered = std::max(gathered, limit);
        const auto due = std::count_if(model.begin(), model.end(), [&](const Entry& entry) { return entry.key <= limit; });
        if ((heap->run_front() != nullptr) != (due > 0) && gathered == limit) FAIL("wrong run at step " << step);
        if (due > 4) ++long_runs;
        break;
      }
      default:
        if (Item* const first = heap->front()) {
          const auto expected = std::min_element(model.begin(), model.end(), before);
          if (first->id != expected->id) FAIL("wrong front at step " << step);
          first->unlink();
          model.erase(expected);
        }
        break;
    }
    if (step % 500 == 499) {
      heap.emplace(few);  // the heap dies first: all its nodes are let go
      model.clear();
      for (const auto& each : items) {
        if (each && each->is_linked()) FAIL("still linked after its heap died");
      }
    }
    if (heap->check_deep() != model.size()) FAIL("wrong size at step " << step);
    const auto first = std::min_element(model.begin(), model.end(), before);
    if (first != model.end() && heap->front()->id != first->id) FAIL("wrong front at step " << step);
  }
  CHECK(pushes > 400);
  CHECK(long_runs > 10);
}

TEST_CASE("intrusive heap: gather() sorts what is due, whatever the keys look like", "[kernel][heap]") {
  const std::size_t count = GENERATE(1U, 24U, 25U, 300U, 5000U);
  const int shape = GENERATE(range(0, 8));
  CAPTURE(count, shape);
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::mt19937_64 random(count);
  const auto key_of = [&](std::size_t i) -> std::int64_t {
    const auto number = static_cast<std::int64_t>(i);
    switch (shape) {
      case 0: return 7;
      case 1: return number;
      case 2: return -number;
      case 3: return static_cast<std::int64_t>(random() % 1'000'000);
      case 4: return static_cast<std::int64_t>(random());          // all of them
      case 5: return static_cast<std::int64_t>(random() % 3) - 1;  // many equal ones
      case 6: return static_cast<std::int64_t>(random() >> random() % 64);  // close together, and far apart
      default: return i % 2 == 0 ? max : -max - 1;
    }
  };
  Heap heap;
  std::deque<Item> items;
  std::vector<std::pair<std::int64_t, int>> expected;
  for (std::size_t i = 0; i < count; ++i) {
    items.emplace_back(static_cast<int>(i));
    heap.push(items.back(), key_of(i));
    expected.emplace_back(items.back().key(), items.back().id);
  }
  std::sort(expected.begin(), expected.end());
  std::size_t at = 0;
  const auto pop_until = [&](std::size_t end) {
    for (; at < end; ++at) {
      if (heap.run_front() == nullptr || heap.run_front()->id != expected.at(at).second) FAIL("wrong order at " << at);
      heap.run_front()->unlink();
    }
  };
  heap.gather(expected.at(count / 2).first);
  CHECK(heap.check_deep() == count);
  pop_until(count / 2);
  heap.gather(max);  // behind a run that is not empty
  CHECK(heap.check_deep() == count - at);
  pop_until(count);
  CHECK(at == count);
  CHECK(heap.empty());
}

TEST_CASE("intrusive heap: a heap lets go of its run, too", "[kernel][heap]") {
  std::deque<Item> items;
  {
    Heap heap(1);
    for (int i = 0; i < 10; ++i) heap.push(items.emplace_back(i), i);
    heap.gather(6);
    CHECK(heap.check_deep() == 10);
    items.at(3).unlink();
    items.at(0).unlink();
    items.at(6).unlink();
    CHECK(heap.check_deep() == 7);
    CHECK(heap.run_front() == &items.at(1));
  }
  for (const Item& item : items) CHECK_FALSE(item.is_linked());
}

TEST_CASE("intrusive heap: 100,000 nodes need no recursion", "[kernel][heap]") {
  const bool ascending = GENERATE(true, false);
  CAPTURE(ascending);
  Heap heap;
  std::deque<Item> items;
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) {
    items.emplace_back(i);
    heap.push(items.back(), ascending ? i : -i);
  }
  CHECK(heap.size() == count);
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  std::size_t popped = 0;
  while (Item* const first = heap.front()) {
    if (first->key() < last) FAIL("out of order");
    last = first->key();
    first->unlink();
    ++popped;
    if (popped == count - 1000) CHECK(heap.check_deep() == 1000);
  }
  CHECK(popped == count);
}

TEST_CASE("abort: intrusive heap misuse", "[kernel][heap][abort]") {
  check_dies("internal: a heap node was inserted twice", [] {
    Heap heap;
    Item item(1);
    heap.push(item, 1);
    heap.push(item, 2);
  });
  check_dies("internal: a heap node was inserted twice", [] {
    Heap heap;
    Heap other;
    Item item(1);
    heap.push(item, 1);
    other.push(item, 1);
  });
  check_dies("internal: a heap node was unlinked twice", [] {
    Heap heap;
    Item item(1);
    heap.push(item, 1);
    item.unlink();
    item.unlink();
  });
  check_dies("internal: a heap node was pushed before the run", [] {
    Heap heap;
    Item first(1);
    Item second(2);
    heap.push(first, 5);
    heap.gather(5);
    heap.push(second, 4);
  });
}
