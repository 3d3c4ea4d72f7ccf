// What each memory order is for: the orders of the code under test by the place where they stand, so that one of them,
// or all, can be weakened while the program runs. A model that still passes does not need it.
#pragma once

#include <cstdint>
#include <map>
#include <source_location>
#include <string_view>
#include <tuple>
#include <vector>

#include "assay_testkit/explore/engine.hpp"
#include "assay_testkit/explore/memory.hpp"

namespace assay::testkit::explorer {

// One atomic operation in the source.
struct OrderedPlace {
  std::string_view file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string_view operation;
  std::string_view function;
  Order order = Order::relaxed;

  auto key() const { return std::tuple(file, line, column, operation); }
};

// How it may be weakened by one step: acq_rel loses one half or the other.
inline std::vector<Order> weaker(Order order) {
  switch (order) {
    case Order::seq_cst:
      return {Order::acq_rel};
    case Order::acq_rel:
      return {Order::acquire, Order::release};
    case Order::acquire:
    case Order::release:
      return {Order::relaxed};
    case Order::relaxed:
      return {};
  }
  return {};
}

using OrderedPlaces = std::map<decltype(OrderedPlace().key()), OrderedPlace>;

// What is weakened now, and the places that have been seen.
struct Weakening {
  bool all = false;                   // everything is relaxed
  const OrderedPlace* one = nullptr;  // this place ...
  Order order = Order::relaxed;       // ... has this order
  bool is_recording = false;          // the places that are met
  OrderedPlaces places;

  static Weakening& here() {
    static Weakening weakening;
    return weakening;
  }
};

inline Order order_at(const std::source_location& at, const char* operation, Order order) {
  Weakening& weakening = Weakening::here();
  const OrderedPlace place{at.file_name(), at.line(), at.column(), operation, at.function_name(), order};
  if (weakening.is_recording) {
    const Engine::Outside outside(Engine::here());
    weakening.places.try_emplace(place.key(), place);
  }
  if (weakening.all) return Order::relaxed;
  return weakening.one != nullptr && weakening.one->key() == place.key() ? weakening.order : order;
}

}  // namespace assay::testkit::explorer
