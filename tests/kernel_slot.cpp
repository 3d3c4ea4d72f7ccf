// Slot: an object's life begins with construct, ends with destroy, and with nothing else; one slot serves several types.
#include <cstdint>
#include <string>

#include <catch2/catch_test_macros.hpp>

#include "assay/audited/slot.hpp"
#include "assay_testkit/dies.hpp"
#include "assay_testkit/ledger.hpp"

using assay::audited::Slot;
using assay::testkit::Counted;
using assay::testkit::Ledger;

TEST_CASE("a slot constructs and destroys when it is told") {
  Ledger ledger;
  {
    Slot<Counted, std::string> slot;
    CHECK(ledger.values_made == 0);
    CHECK(slot.construct<0>(ledger, 7).value() == 7);
    CHECK(ledger.values_made == 1);
    CHECK(ledger.values_alive() == 1);
    CHECK(slot.get<0>().value() == 7);
    slot.destroy<0>();
    CHECK(ledger.values_alive() == 0);
    const Slot<Counted, std::string>& same = slot;
    slot.construct<1>("longer than what fits into a small string buffer");
    CHECK(same.get<1>().size() == 48);
    slot.destroy<1>();
    CHECK(slot.construct<0>(ledger, 8).value() == 8);
    CHECK(ledger.values_made == 2);
    slot.destroy<0>();
  }
  CHECK(ledger.values_destroyed == 2);
  CHECK(ledger.leftovers().empty());
}

TEST_CASE("a slot whose constructor throws is empty, and may be used again") {
  struct Throws {
    explicit Throws(bool now) {
      if (now) throw 5;
    }
  };
  Slot<Throws> slot;
  CHECK_THROWS_AS(slot.construct<0>(true), int);
  slot.construct<0>(false);
  slot.destroy<0>();
}

TEST_CASE("a slot is aligned and large enough for each of its types") {
  struct alignas(64) Wide {
    char bytes[65];
  };
  Slot<char, Wide, int> slot;
  static_assert(alignof(decltype(slot)) == 64);
  static_assert(sizeof(slot) >= sizeof(Wide));
  CHECK(reinterpret_cast<std::uintptr_t>(&slot.construct<1>()) % 64 == 0);
  slot.destroy<1>();
}

#if ASSAY_HARDENING_LEVEL >= 3
TEST_CASE("abort: a slot misused, at level 3") {
  const auto says = [](const assay::testkit::Death& death, const char* words) {
    CHECK(death.aborted);
    CHECK(death.standard_error.find(words) != std::string::npos);
  };
  says(assay::testkit::run_in_child([] {
         Slot<int> slot;
         slot.construct<0>(1);
         slot.construct<0>(2);
       }),
       "a second object was constructed in a full slot");
  says(assay::testkit::run_in_child([] {
         Slot<int, char> slot;
         slot.construct<0>(1);
         static_cast<void>(slot.get<1>());
       }),
       "an object was read that is not in its slot");
  says(assay::testkit::run_in_child([] {
         const Slot<int> slot;
         static_cast<void>(slot.get<0>());
       }),
       "an object was read that is not in its slot");
  says(assay::testkit::run_in_child([] {
         Slot<int> slot;
         slot.construct<0>(1);
         slot.destroy<0>();
         slot.destroy<0>();
       }),
       "an object was read that is not in its slot");
  says(assay::testkit::run_in_child([] {
         Slot<int> slot;
         slot.construct<0>(1);
       }),
       "a slot went away with an object in it");
}
#endif
