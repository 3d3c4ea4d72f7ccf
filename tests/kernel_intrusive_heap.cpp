// Shows the intrusive heap under the timers: order by key and then by insertion, removal from anywhere, nodes and heaps
// that die in either order, against a sorted reference with check_deep() after every step; and the abort of each
// misuse.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

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
  CAPTURE(seed, keys);
  struct Entry {
    std::int64_t key;
    std::uint64_t sequence;
    int id;
  };
  std::mt19937 random(seed);
  std::vector<std::optional<Item>> items(40);
  std::optional<Heap> heap(std::in_place);
  std::vector<Entry> model;
  std::uint64_t sequence = 0;
  const auto before = [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.sequence < b.sequence;
  };
  std::uint64_t pushes = 0;
  for (int step = 0; step < 2000; ++step) {
    const std::size_t at = random() % items.size();
    std::optional<Item>& item = items.at(at);
    const auto forget = [&] {
      std::erase_if(model, [&](const Entry& entry) { return entry.id == static_cast<int>(at); });
    };
    switch (random() % 5) {
      case 0:
      case 1:
        if (!item) item.emplace(static_cast<int>(at));
        if (!item->is_linked()) {
          const auto key = static_cast<std::int64_t>(random() % static_cast<unsigned>(keys));
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
      heap.emplace();  // the heap dies first: all its nodes are let go
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
}
