// Shows the parker under run(): an unpark is never lost, several coalesce, each park takes one token, and the last
// waker frees it.
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "assay/audited/function_waker.hpp"
#include "assay/audited/park.hpp"
#include "assay_testkit/allocation_counter.hpp"

using namespace assay::audited;
using Wakers = FunctionWaker<Parker>;

TEST_CASE("parker: a token that comes first is kept, and tokens coalesce", "[kernel][park]") {
  Parker parker;
  parker();
  parker.park();  // does not block
  parker();
  parker();
  parker();
  parker.park();
  // One token was there, not three: the next park takes the next unpark, which another thread makes.
  int written = 0;
  std::thread thread([&] {
    written = 1;
    parker();
  });
  parker.park();
  CHECK(written == 1);
  thread.join();
}

TEST_CASE("parker: two threads hand a token to and fro", "[kernel][park][thread]") {
  Parker mine;
  Parker theirs;
  constexpr int rounds = 2000;
  int turn = 0;
  std::thread thread([&] {
    for (int i = 0; i < rounds; ++i) {
      theirs.park();
      ++turn;
      mine();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    theirs();
    mine.park();
    if (turn != i + 1) FAIL("a token was lost or made up");
  }
  thread.join();
  CHECK(turn == rounds);
}

TEST_CASE("parker: its waker may outlive whoever parked, and the last copy frees it", "[kernel][park]") {
  assay::Waker kept;
  {
    const Wakers::Made made = Wakers::make();
    kept = made.waker;
    kept.wake_by_ref();
    made.callable.park();
  }
  const std::uint64_t before = assay::testkit::allocation_counts().deletes;
  assay::Waker copy = kept;
  copy.wake_by_ref();
  std::move(copy).wake();
  CHECK(assay::testkit::allocation_counts().deletes == before);
  std::move(kept).wake();
  CHECK(assay::testkit::allocation_counts().deletes == before + 1);
}
