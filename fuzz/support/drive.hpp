// Runs a fuzz input as a list of steps on a model and on the real thing (see assay_testkit/models/step.hpp).
#pragma once

#include <cstdio>
#include <cstdlib>

#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"
#include "support/byte_reader.hpp"

namespace assay::fuzz {

inline constexpr int max_steps = 120;  // of a target that reads its own

// Set ASSAY_TRACE to see the steps of an input.
inline bool is_traced() {
  static const bool traced = std::getenv("ASSAY_TRACE") != nullptr;
  return traced;
}

[[noreturn]] inline void report(const char* what) {
  std::fprintf(stderr, "assay fuzz: %s\n", what);
  std::abort();
}

inline void check_ledger(const testkit::Ledger& ledger) {
  if (!ledger.leftovers().empty()) report(ledger.leftovers().c_str());
}

// Runs the first `most` steps. sanitizer-scripts/fuzz reads that number where this is called, and makes no longer inputs.
template <class Model, class System, int most>
int drive(const std::uint8_t* data, std::size_t size) {
  ByteReader bytes(data, size);
  testkit::Ledger ledger;
  try {
    Model model(bytes.byte());
    System system(ledger, model);
    for (int i = 0; i < most && !bytes.empty(); ++i) {
      // Evaluated in order: braces.
      const testkit::Step step = testkit::normal<Model>({bytes.byte(), bytes.byte(), bytes.byte(), bytes.byte()});
      if (!model.allows(step)) continue;
      if (is_traced()) std::fprintf(stderr, "%s %d %d %d\n", Model::names.at(step.op), step.a, step.b, step.c);
      model.apply(step);
      system.run(step, model);
      system.compare(model);
    }
  } catch (const testkit::Mismatch& mismatch) {
    report(mismatch.what());
  }
  check_ledger(ledger);
  return 0;
}

}  // namespace assay::fuzz
