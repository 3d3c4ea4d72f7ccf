// Purpose: how a value of any type that a future may yield is kept in an object: void as Unit, a reference as a wrapper.
// Thread rules: none.
// Invariants:
//  (1) Stored<T> is an object type for every T that may be a Future's Output.
#pragma once

#include <functional>
#include <type_traits>

namespace assay {

// The value of a future that yields nothing, where a value is needed.
struct Unit {
  friend bool operator==(Unit, Unit) = default;
};

namespace audited {

template <class T>
struct StoredAs {
  using Type = T;
};
template <>
struct StoredAs<void> {
  using Type = Unit;
};
template <class T>
struct StoredAs<T&> {
  using Type = std::reference_wrapper<T>;
};

}  // namespace audited

template <class T>
using Stored = typename audited::StoredAs<T>::Type;

}  // namespace assay
