// Shows the intrusive list: order, unlinking from anywhere, nodes that leave by being destroyed, lists that die first,
// splicing, a node in two lists by two tags, and the abort of each misuse. check_deep() after every step.
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

#include "assay/audited/intrusive_list.hpp"
#include "support/dies.hpp"

using namespace assay::audited;
using assay::test::check_dies;
using assay::test::check_dies_from_level;

namespace {

struct OtherTag {};

struct Item : ListNode<Item>, ListNode<Item, OtherTag> {
  explicit Item(int given) : id(given) {}
  int id;
  bool is_linked() const { return static_cast<const ListNode<Item>&>(*this).is_linked(); }
  void unlink() { static_cast<ListNode<Item>&>(*this).unlink(); }
};

using List = IntrusiveList<Item>;
using OtherList = IntrusiveList<Item, OtherTag>;

std::vector<int> ids(const List& list) {
  std::vector<int> all;
  for (const Item* item = list.front(); item != nullptr; item = list.next(*item)) all.push_back(item->id);
  CHECK(list.check_deep() == all.size());
  CHECK(list.empty() == all.empty());
  return all;
}

using Ids = std::vector<int>;

// As a write through a stray pointer would.
template <class T>
void overwrite(T& object) {
  std::memset(static_cast<void*>(&object), 0, sizeof(T));
}

}  // namespace

TEST_CASE("intrusive list: pushing and popping", "[kernel][list]") {
  List list;
  std::deque<Item> items;
  for (int i = 0; i < 5; ++i) items.emplace_back(i);
  CHECK(ids(list).empty());
  CHECK(list.front() == nullptr);
  CHECK(list.pop_front() == nullptr);
  for (Item& item : items) {
    CHECK_FALSE(item.is_linked());
    list.push_back(item);
    CHECK(item.is_linked());
  }
  CHECK(ids(list) == Ids{0, 1, 2, 3, 4});
  CHECK(list.pop_front() == &items.at(0));
  CHECK_FALSE(items.at(0).is_linked());
  CHECK(ids(list) == Ids{1, 2, 3, 4});
  list.push_front(items.at(0));
  CHECK(ids(list) == Ids{0, 1, 2, 3, 4});
  list.clear();
  CHECK(ids(list).empty());
  for (const Item& item : items) CHECK_FALSE(item.is_linked());
  list.push_front(items.at(2));
  CHECK(ids(list) == Ids{2});
}

TEST_CASE("intrusive list: unlinking any item, by itself or by its destructor", "[kernel][list]") {
  const std::size_t victim = GENERATE(0U, 1U, 2U, 3U);
  const bool by_destructor = GENERATE(false, true);
  CAPTURE(victim, by_destructor);
  List list;
  std::array<std::optional<Item>, 4> items;
  for (std::size_t i = 0; i < 4; ++i) {
    items.at(i).emplace(static_cast<int>(i));
    list.push_back(*items.at(i));
  }
  Ids expected{0, 1, 2, 3};
  expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(victim));
  if (by_destructor) {
    items.at(victim).reset();
  } else {
    items.at(victim)->unlink();
    CHECK_FALSE(items.at(victim)->is_linked());
  }
  CHECK(ids(list) == expected);
  if (!by_destructor) {
    list.push_back(*items.at(victim));
    expected.push_back(static_cast<int>(victim));
    CHECK(ids(list) == expected);
  }
}

TEST_CASE("intrusive list: a list that dies first lets its items go", "[kernel][list]") {
  std::deque<Item> items;
  for (int i = 0; i < 3; ++i) items.emplace_back(i);
  {
    List list;
    for (Item& item : items) list.push_back(item);
    CHECK(ids(list) == Ids{0, 1, 2});
  }
  List other;
  for (Item& item : items) {
    CHECK_FALSE(item.is_linked());
    other.push_front(item);
  }
  CHECK(ids(other) == Ids{2, 1, 0});
}

TEST_CASE("intrusive list: splicing", "[kernel][list]") {
  const int left = GENERATE(0, 1, 3);
  const int right = GENERATE(0, 1, 3);
  CAPTURE(left, right);
  List to;
  List from;
  std::deque<Item> items;
  Ids expected;
  for (int i = 0; i < left + right; ++i) {
    items.emplace_back(i);
    (i < left ? to : from).push_back(items.back());
    expected.push_back(i);
  }
  to.splice_back(from);
  CHECK(ids(to) == expected);
  CHECK(ids(from).empty());
  Item more(99);
  from.push_back(more);
  CHECK(ids(from) == Ids{99});
  to.splice_back(from);
  expected.push_back(99);
  CHECK(ids(to) == expected);
  more.unlink();
  expected.pop_back();
  CHECK(ids(to) == expected);
}

TEST_CASE("intrusive list: an item in two lists, by two tags", "[kernel][list]") {
  List list;
  OtherList other;
  Item first(1);
  Item second(2);
  list.push_back(first);
  list.push_back(second);
  other.push_back(second);
  other.push_back(first);
  CHECK(ids(list) == Ids{1, 2});
  CHECK(other.front() == &second);
  CHECK(other.next(second) == &first);
  CHECK(other.check_deep() == 2);
  first.unlink();
  CHECK(ids(list) == Ids{2});
  CHECK(other.check_deep() == 2);
  CHECK(other.pop_front() == &second);
  CHECK(ids(list) == Ids{2});
}

TEST_CASE("intrusive list: the list may change while it is walked", "[kernel][list]") {
  List list;
  std::deque<Item> items;
  for (int i = 0; i < 6; ++i) {
    items.emplace_back(i);
    list.push_back(items.back());
  }
  Item* item = list.front();
  while (item != nullptr) {
    Item* const next = list.next(*item);
    if (item->id % 2 == 1) item->unlink();
    item = next;
    list.check_deep();
  }
  CHECK(ids(list) == Ids{0, 2, 4});
}

TEST_CASE("abort: intrusive list misuse", "[kernel][list][abort]") {
  check_dies("internal: a list node was linked twice", [] {
    List list;
    Item item(1);
    list.push_back(item);
    list.push_back(item);
  });
  check_dies("internal: a list node was linked twice", [] {
    List list;
    List other;
    Item item(1);
    list.push_back(item);
    other.push_front(item);
  });
  check_dies("internal: a list node was unlinked twice", [] {
    List list;
    Item item(1);
    list.push_back(item);
    item.unlink();
    item.unlink();
  });
  check_dies("internal: next() of an item that is in no list", [] {
    List list;
    const Item item(1);
    static_cast<void>(list.next(item));
  });
  check_dies_from_level<2>("internal: a list spliced into itself", [] {
    List list;
    list.splice_back(list);
  });
  // An item that is freed or overwritten without its destructor: seen by its neighbours, and by check_deep().
  const auto overwritten = [](void (*then)(List&, Item&)) {
    return [then] {
      static List list;
      alignas(Item) static std::array<std::byte, sizeof(Item)> bytes;
      static Item neighbour(1);
      Item* const item = ::new (static_cast<void*>(bytes.data())) Item(2);
      list.push_back(*item);
      list.push_back(neighbour);
      bytes.fill(std::byte{0});
      then(list, neighbour);
    };
  };
  const char* const broken =
      "internal: a list's links are broken (was an object moved, freed or overwritten while it waited?)";
  check_dies(broken, overwritten([](List& list, Item&) { static_cast<void>(list.check_deep()); }));
  check_dies_from_level<2>(broken, overwritten([](List&, Item& neighbour) { neighbour.unlink(); }));
  // The other neighbour, the last item, and the head.
  const auto zeroed = [](void (*use)(List&, Item&, Item&)) {
    return [use] {
      static List list;
      static Item first(1);
      static Item last(2);
      list.push_back(first);
      list.push_back(last);
      use(list, first, last);
    };
  };
  check_dies_from_level<2>(broken, zeroed([](List&, Item& first, Item& last) {
                             overwrite(last);
                             first.unlink();
                           }));
  check_dies_from_level<2>(broken, zeroed([](List& list, Item&, Item& last) {
                             overwrite(last);
                             static Item other(3);
                             list.push_back(other);
                           }));
  check_dies_from_level<2>(broken, zeroed([](List& list, Item&, Item&) {
                             overwrite(list);
                             static Item other(3);
                             list.push_back(other);
                           }));
  check_dies_from_level<2>(broken, zeroed([](List& list, Item&, Item&) {
                             overwrite(list);
                             static_cast<void>(list.empty());
                           }));
  check_dies(broken, zeroed([](List& list, Item&, Item&) {
               overwrite(list);
               static_cast<void>(list.check_deep());
             }));
}
