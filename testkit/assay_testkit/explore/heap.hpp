// To be included in one source file of a program that explores models: within an execution `new` gives memory of the
// model, whose leaks, double and wrong frees are then reported (and, under AddressSanitizer, each use after free).
// Elsewhere `new` is as always.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "assay_testkit/explore/engine.hpp"

namespace assay::testkit::explorer {

inline void* take_memory(std::size_t size, std::size_t alignment = 1) {
  if (Engine* engine = Engine::modelling(); engine != nullptr) return engine->allocate(size, alignment);
  const std::size_t whole = (size / alignment + 1) * alignment;
  void* const place =
      alignment <= alignof(std::max_align_t) ? std::malloc(whole) : std::aligned_alloc(alignment, whole);
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
void* operator new(std::size_t size, std::align_val_t alignment) {
  return assay::testkit::explorer::take_memory(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return assay::testkit::explorer::take_memory(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* place) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete[](void* place) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete(void* place, std::size_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete[](void* place, std::size_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete(void* place, std::align_val_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete[](void* place, std::align_val_t) noexcept { assay::testkit::explorer::give_memory_back(place); }
void operator delete(void* place, std::size_t, std::align_val_t) noexcept {
  assay::testkit::explorer::give_memory_back(place);
}
void operator delete[](void* place, std::size_t, std::align_val_t) noexcept {
  assay::testkit::explorer::give_memory_back(place);
}
