// To be included in one source file of a program that explores models: within an execution `new` gives memory of the
// model, whose leaks, double and wrong frees are then reported (and, under AddressSanitizer, each use after free).
// Elsewhere `new` is as always.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "assay_testkit/explore/engine.hpp"

namespace assay::testkit::explorer {

inline void* take_memory(std::size_t size) {
  if (Engine* engine = Engine::modelling(); engine != nullptr) return engine->allocate(size);
  void* const place = std::malloc(size != 0 ? size : 1);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}

inline void give_memory_back(void* place) noexcept {
  Engine* const engine = Engine::current();
  if (place == nullptr || (engine != nullptr && engine->release(place))) return;
  std::free(place);
}

}  // namespace assay::testkit::explorer

void* operator new(std::size_t size) { return assay::testkit::explorer::take_memory(size); }
void* operator new[](std::size_t size) { return assay::testkit::explorer::take_memory(size); }
void operator delete(void* place) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete[](void* place) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete(void* place, std::size_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete[](void* place, std::size_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
