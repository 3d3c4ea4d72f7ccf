// A list with room for so many items, without allocations: fuzz targets run each model thousands of times a second.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace assay::testkit {

template <class T, std::size_t most>
class Row {
 public:
  void push_back(const T& item) { emplace_back() = item; }
  T& emplace_back() { return items_.at(size_++) = T{}; }
  void push_front(const T& item) {
    emplace_back();
    std::move_backward(begin(), end() - 1, end());
    items_.front() = item;
  }
  T pop_front() {
    T first = std::move(items_.front());
    erase(begin());
    return first;
  }
  void erase(T* item) {
    std::move(item + 1, end(), item);
    --size_;
  }

  T& at(std::size_t index) { return items_.at(index); }
  const T& at(std::size_t index) const { return items_.at(index); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return items_.data(); }
  T* end() { return items_.data() + size_; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + size_; }

 private:
  std::array<T, most> items_{};
  std::size_t size_ = 0;
};

}  // namespace assay::testkit
