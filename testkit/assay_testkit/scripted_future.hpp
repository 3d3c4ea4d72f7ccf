// A hand-written future whose polls and destructor do what a test tells them.
#pragma once

#include <functional>
#include <utility>

#include "assay/future.hpp"
#include "assay_testkit/ledger.hpp"

namespace assay::testkit {

// Calls `on_poll(context)` for each poll and `on_destroy()` when it is destroyed, and counts both in the ledger. A moved-from
// one is empty: it counts nothing and calls nothing.
template <class T>
class ScriptedFuture {
 public:
  using Output = T;
  using OnPoll = std::function<Poll<T>(Context&)>;

  ScriptedFuture(Ledger& ledger, OnPoll on_poll, std::function<void()> on_destroy = {})
      : ledger_(&ledger), on_poll_(std::move(on_poll)), on_destroy_(std::move(on_destroy)) {
    ++ledger_->futures_made;
  }
  ScriptedFuture(ScriptedFuture&& other) noexcept
      : ledger_(std::exchange(other.ledger_, nullptr)),
        on_poll_(std::move(other.on_poll_)),
        on_destroy_(std::move(other.on_destroy_)) {}
  ScriptedFuture& operator=(ScriptedFuture&&) = delete;
  ~ScriptedFuture() {
    if (ledger_ == nullptr) return;
    ++ledger_->futures_destroyed;
    if (on_destroy_) on_destroy_();
  }

  Poll<T> poll(Context& context) {
    ++ledger_->polls;
    return on_poll_(context);
  }

 private:
  Ledger* ledger_;
  OnPoll on_poll_;
  std::function<void()> on_destroy_;
};

}  // namespace assay::testkit
