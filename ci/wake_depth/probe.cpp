// wakes DEPTH COUNT: a task DEPTH coroutines deep yields COUNT times. With "seeded" as third word each wake is made to cost
// something per level, as in a runtime that resumes from the root.
#include <cstdlib>
#include <cstring>

#include "assay/assay.hpp"

namespace {

volatile long seeded_work = 0;

assay::Async<void> leaf(long count, int depth_if_seeded) {
  for (long i = 0; i < count; ++i) {
    for (int level = 0; level < depth_if_seeded; ++level) seeded_work = seeded_work + 1;
    co_await assay::yield_now();
  }
}

assay::Async<void> nested(int depth, long count, int depth_if_seeded) {
  if (depth <= 1) {
    co_await leaf(count, depth_if_seeded);
  } else {
    co_await nested(depth - 1, count, depth_if_seeded);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int depth = std::atoi(argv[1]);
  const bool seeded = argc > 3 && std::strcmp(argv[3], "seeded") == 0;
  assay::Executor().block_on(nested(depth, std::atol(argv[2]), seeded ? depth : 0));
}
