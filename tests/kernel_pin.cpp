// Shows the pin-like cells: Pinned does not move; PinCell lends to one writer or many readers and aborts on the rest;
// PinRc and PinWeak share one object, whose destructor may use weak references to itself; counters abort before they
// wrap.
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include <catch2/generators/catch_generators.hpp>

#include "assay/pin.hpp"
#include "assay_testkit/allocation_counter.hpp"
#include "support/dies.hpp"
#include "support/kinds.hpp"

using namespace assay;
using namespace assay::test;

TEST_CASE("Pinned holds a value at one address", "[kernel][pin]") {
  static_assert(!std::is_copy_constructible_v<Pinned<int>> && !std::is_move_constructible_v<Pinned<int>>);
  static_assert(!std::is_copy_assignable_v<Pinned<int>> && !std::is_move_assignable_v<Pinned<int>>);
  Ledger ledger;
  {
    Pinned<Counted> pinned(std::in_place, ledger, 3);
    Counted* const address = &pinned.get();
    CHECK(pinned->value() == 3);
    CHECK((*pinned).value() == 3);
    const Pinned<Counted>& constant = pinned;
    CHECK(&constant.get() == address);
    CHECK(ledger.values_made == 1);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("PinCell: one writer, or many readers", "[kernel][pin]") {
  static_assert(!std::is_move_constructible_v<PinCell<int>> && !std::is_move_assignable_v<PinCell<int>>);
  PinCell<int> cell(std::in_place, 1);
  const auto state = [&cell](bool borrowed, bool mut) {
    cell.check_deep();
    CHECK(cell.is_borrowed() == borrowed);
    CHECK(cell.is_borrowed_mut() == mut);
  };
  state(false, false);
  {
    auto writer = cell.borrow_mut();
    state(true, true);
    *writer = 2;
    auto moved = std::move(writer);
    state(true, true);
    CHECK(*moved == 2);
  }
  state(false, false);
  {
    const auto first = cell.borrow();
    state(true, false);
    std::optional<PinCell<int>::Reader> second(cell.borrow());
    state(true, false);
    CHECK(*first == 2);
    CHECK(**second == 2);
    auto third = std::move(*second);
    second.reset();
    state(true, false);
    CHECK(*third == 2);
  }
  state(false, false);
  *cell.borrow_mut() = 3;
  CHECK(*cell.borrow() == 3);
  state(false, false);
}

TEST_CASE("abort: PinCell misuse", "[kernel][pin][abort]") {
  check_dies("PinCell::borrow_mut while something of the cell is borrowed already", [] {
    PinCell<int> cell(std::in_place, 1);
    const auto first = cell.borrow_mut();
    const auto second = cell.borrow_mut();
  });
  check_dies("PinCell::borrow_mut while something of the cell is borrowed already", [] {
    PinCell<int> cell(std::in_place, 1);
    const auto first = cell.borrow();
    const auto second = cell.borrow_mut();
  });
  check_dies("PinCell::borrow while the cell is borrowed for writing", [] {
    PinCell<int> cell(std::in_place, 1);
    const auto first = cell.borrow_mut();
    const auto second = cell.borrow();
  });
  check_dies("a PinCell was destroyed while something of it was borrowed", [] {
    auto cell = std::make_unique<PinCell<int>>(std::in_place, 1);
    static_cast<void>(new PinCell<int>::Reader(cell->borrow()));  // never ends
    cell.reset();
  });
  check_dies("a PinCell was destroyed while something of it was borrowed", [] {
    auto cell = std::make_unique<PinCell<int>>(std::in_place, 1);
    static_cast<void>(new PinCell<int>::Writer(cell->borrow_mut()));  // never ends
    cell.reset();
  });
  check_dies("a moved-from PinCell::Writer was used", [] {
    PinCell<int> cell(std::in_place, 1);
    auto writer = cell.borrow_mut();
    const auto moved = std::move(writer);
    *writer = 2;
  });
  check_dies("a moved-from PinCell::Reader was used", [] {
    PinCell<int> cell(std::in_place, 1);
    auto reader = cell.borrow();
    const auto moved = std::move(reader);
    static_cast<void>(*reader);
  });
}

TEST_CASE("PinCell: a narrow counter takes 127 readers, and aborts at the next", "[kernel][pin][abort]") {
  using Cell = PinCell<int, std::int8_t>;
  Cell cell(std::in_place, 1);
  {
    std::vector<Cell::Reader> readers;
    for (int i = 0; i < 127; ++i) {
      readers.push_back(cell.borrow());
      cell.check_deep();
    }
    CHECK(cell.is_borrowed());
    CHECK_FALSE(cell.is_borrowed_mut());
    check_dies("too many readers of one PinCell", [&] { readers.push_back(cell.borrow()); });
  }
  CHECK_FALSE(cell.is_borrowed());
}

TEST_CASE("PinRc: strong and weak references, counted", "[kernel][pin]") {
  Ledger ledger;
  {
    PinRc<Counted> first = PinRc<Counted>::make(ledger, 5);
    const Counted* const address = &*first;
    const auto counts = [&](std::size_t strong, std::size_t weak) {
      first.check_deep();
      CHECK(first.strong_count() == strong);
      CHECK(first.weak_count() == weak);
      CHECK(ledger.values_made == 1);
      CHECK(ledger.values_alive() == 1);
    };
    counts(1, 0);
    PinRc<Counted> second = first;
    counts(2, 0);
    CHECK(&*second == address);
    CHECK(second->value() == 5);
    PinWeak<Counted> weak(first);
    counts(2, 1);
    PinWeak<Counted> copy = weak;
    counts(2, 2);
    PinWeak<Counted> moved = std::move(copy);
    counts(2, 2);
    CHECK(copy.expired());
    copy = moved;
    counts(2, 3);
    copy = PinWeak<Counted>();
    counts(2, 2);
    {
      const PinRc<Counted> up = weak.upgrade();
      counts(3, 2);
      CHECK(&*up == address);
    }
    counts(2, 2);
    PinRc<Counted> taken = std::move(second);
    counts(2, 2);
    taken = first;
    counts(2, 2);
    PinRc<Counted>& same = taken;
    taken = same;
    counts(2, 2);
    second = std::move(taken);
    counts(2, 2);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("PinRc: the value goes with the last PinRc, the block with the last PinWeak", "[kernel][pin]") {
  const bool weak_goes_first = GENERATE(true, false);
  CAPTURE(weak_goes_first);
  Ledger ledger;
  const std::uint64_t before = testkit::allocation_counts().deletes;
  std::optional<PinRc<Counted>> strong(PinRc<Counted>::make(ledger, 5));
  std::optional<PinWeak<Counted>> weak(*strong);
  std::optional<PinWeak<Counted>> second(*weak);
  if (weak_goes_first) {
    weak.reset();
    second.reset();
    CHECK(ledger.values_alive() == 1);
    CHECK(testkit::allocation_counts().deletes == before);
    strong.reset();
  } else {
    strong.reset();
    CHECK(ledger.values_alive() == 0);
    CHECK(weak->expired());
    CHECK(testkit::allocation_counts().deletes == before);
    weak.reset();
    CHECK(second->expired());
    CHECK(testkit::allocation_counts().deletes == before);
    second.reset();
  }
  CHECK(testkit::allocation_counts().deletes == before + 1);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("PinRc: the destructor of the value uses PinWeaks to itself, and drops the last of them", "[kernel][pin]") {
  struct Node {
    explicit Node(Ledger& ledger) : value(ledger, 1) {}
    ~Node() {
      CHECK(self.expired());
      const PinWeak<Node> copy = self;
      CHECK(copy.expired());
      self = PinWeak<Node>();
      CHECK(self.expired());
    }
    Counted value;
    PinWeak<Node> self;
  };
  Ledger ledger;
  {
    const PinRc<Node> node = PinRc<Node>::make(ledger);
    node->self = PinWeak<Node>(node);
    CHECK(node.weak_count() == 1);
    CHECK_FALSE(node->self.expired());
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("PinRc: a ring of PinRcs broken by hand, and a chain that is dropped", "[kernel][pin]") {
  struct Node {
    explicit Node(Ledger& ledger) : value(ledger, 1) {}
    Counted value;
    std::optional<PinRc<Node>> next;
  };
  Ledger ledger;
  {
    PinRc<Node> a = PinRc<Node>::make(ledger);
    PinRc<Node> b = PinRc<Node>::make(ledger);
    a->next = b;
    b->next = a;
    CHECK(a.strong_count() == 2);
    a->next.reset();
    CHECK(b.strong_count() == 1);
  }
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("PinRc: a constructor that throws leaves nothing", "[kernel][pin][throw]") {
  struct Throws {
    explicit Throws(Ledger& ledger) : value(ledger, 1) { throw 5; }
    Counted value;
  };
  Ledger ledger;
  bool thrown = false;
  const auto before = testkit::allocation_counts();  // nothing of Catch or the library's strings in between
  try {
    static_cast<void>(PinRc<Throws>::make(ledger));
  } catch (int) {
    thrown = true;
  }
  const auto after = testkit::allocation_counts();
  CHECK(thrown);
  CHECK(ledger.leftovers().empty());
  CHECK(after.news - before.news == after.deletes - before.deletes);
}

TEST_CASE("PinRc of a PinCell: shared and borrowed", "[kernel][pin]") {
  using Cell = PinCell<std::vector<int>>;
  const PinRc<Cell> shared = PinRc<Cell>::make(std::in_place);
  const PinWeak<Cell> weak(shared);
  shared->borrow_mut()->push_back(1);
  weak.upgrade()->borrow_mut()->push_back(2);
  CHECK(*shared->borrow() == std::vector<int>{1, 2});
  shared->check_deep();
}

TEST_CASE("I01 PinRc and PinWeak: narrow counters abort before they wrap", "[kernel][pin][abort][regression]") {
  using Rc = PinRc<int, std::uint8_t>;
  using Weak = PinWeak<int, std::uint8_t>;
  const Rc first = Rc::make(7);
  {
    std::vector<Rc> strong(254, first);
    CHECK(first.strong_count() == 255);
    CHECK(*strong.back() == 7);
    check_dies("too many PinRc or PinWeak of one object", [&] { const Rc more = first; });
    const Weak weak(first);
    check_dies("too many PinRc or PinWeak of one object", [&] { static_cast<void>(weak.upgrade()); });
    first.check_deep();
  }
  CHECK(first.strong_count() == 1);
  {
    std::vector<Weak> weak;
    for (int i = 0; i < 254; ++i) weak.emplace_back(first);
    CHECK(first.weak_count() == 254);
    check_dies("too many PinRc or PinWeak of one object", [&] { const Weak more(first); });
    check_dies("too many PinRc or PinWeak of one object", [&] { const Weak more = weak.front(); });
  }
  CHECK(first.weak_count() == 0);
}

TEST_CASE("abort: PinRc and PinWeak misuse", "[kernel][pin][abort]") {
  check_dies("a moved-from PinRc was used", [] {
    PinRc<int> first = PinRc<int>::make(1);
    const PinRc<int> second = std::move(first);
    static_cast<void>(*first);
  });
  check_dies("a moved-from PinRc was used", [] {
    PinRc<int> first = PinRc<int>::make(1);
    const PinRc<int> second = std::move(first);
    const PinRc<int> third = first;
  });
  check_dies("PinWeak::upgrade of an object that is gone; ask expired() first", [] {
    PinWeak<int> weak;
    {
      const PinRc<int> strong = PinRc<int>::make(1);
      weak = PinWeak<int>(strong);
    }
    static_cast<void>(weak.upgrade());
  });
  check_dies("PinWeak::upgrade of an object that is gone; ask expired() first",
             [] { static_cast<void>(PinWeak<int>().upgrade()); });
}

TEST_CASE("abort: PinRc and PinWeak on another thread", "[kernel][pin][abort]") {
  const char* const rc = "a PinRc was used on another thread than the one that made it";
  const char* const weak = "a PinWeak was used on another thread than the one that made it";
  const auto elsewhere = [](void (*use)(PinRc<int>&, PinWeak<int>&)) {
    return [use] {
      PinRc<int> strong = PinRc<int>::make(1);
      PinWeak<int> mine(strong);
      std::thread([&] { use(strong, mine); }).join();
    };
  };
  check_dies(rc, elsewhere([](PinRc<int>& strong, PinWeak<int>&) { const PinRc<int> copy = strong; }));
  check_dies(rc, elsewhere([](PinRc<int>& strong, PinWeak<int>&) { static_cast<void>(*strong); }));
  check_dies(rc, elsewhere([](PinRc<int>& strong, PinWeak<int>&) {
               const PinRc<int> taken = std::move(strong);
             }));  // its drop
  check_dies(weak, elsewhere([](PinRc<int>&, PinWeak<int>& mine) { static_cast<void>(mine.expired()); }));
  check_dies(weak, elsewhere([](PinRc<int>&, PinWeak<int>& mine) { const PinWeak<int> copy = mine; }));
  check_dies(weak, elsewhere([](PinRc<int>&, PinWeak<int>& mine) { const PinWeak<int> taken = std::move(mine); }));
}

TEST_CASE("abort: PinRc and PinWeak whose counters were overwritten", "[kernel][pin][abort]") {
  // A PinRc is one pointer, to a block that begins with both counters: what a stray write may hit.
  struct Counters {
    std::uint32_t strong;
    std::uint32_t weak;
  };
  static_assert(sizeof(PinRc<int>) == sizeof(Counters*));
  const auto broken = [](void (*use)(Counters&, std::optional<PinRc<int>>&, std::optional<PinWeak<int>>&)) {
    return [use] {
      std::optional<PinRc<int>> strong = PinRc<int>::make(1);
      std::optional<PinWeak<int>> weak(*strong);
      Counters* counters = nullptr;
      std::memcpy(&counters, &*strong, sizeof counters);
      CHECK(counters->strong == 1);
      CHECK(counters->weak == 2);
      use(*counters, strong, weak);
    };
  };
  const char* const words = "internal: a PinRc's counters are broken";
  check_dies(words, broken([](Counters& counters, auto& strong, auto&) {
               counters.strong = 0;
               strong->check_deep();
             }));
  check_dies(words, broken([](Counters& counters, auto& strong, auto&) {
               counters.weak = 0;
               strong->check_deep();
             }));
  check_dies_from_level<2>(words, broken([](Counters& counters, auto& strong, auto&) {
                             counters.strong = 0;
                             strong.reset();
                           }));
  check_dies_from_level<2>(words, broken([](Counters& counters, auto& strong, auto&) {
                             counters.weak = 0;
                             strong.reset();
                           }));
  check_dies_from_level<2>(words, broken([](Counters& counters, auto&, auto& weak) {
                             counters.weak = 0;
                             weak.reset();
                           }));
  check_dies_from_level<2>(words, broken([](Counters& counters, auto&, auto& weak) {
                             counters.weak = 1;  // the PinRc's own share is taken for the PinWeak's
                             weak.reset();
                           }));
}
