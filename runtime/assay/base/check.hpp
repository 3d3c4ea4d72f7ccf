// Purpose: the assertions of assay, and the one way in which it gives up: a line on stderr, then abort().
//
//   ASSAY_CHECK(condition, "what the user did")    every level: a broken promise here would be undefined behaviour
//   ASSAY_ASSERT(condition, "...")                 level 2 (extensive, the default) and up: cheap internal invariants
//   ASSAY_DEBUG_ASSERT(condition, "...")           level 3 (debug): also what costs more than O(1)
//
//   ASSAY_ALWAYS(condition), ASSAY_NEVER(condition)   a condition that is true, or false, whatever a caller does: it is asked
//                                                     all the same, and no test can show the other answer
//
// ASSAY_ALWAYS_KIND says what they are: 0 plain, the condition; 1 checked, which aborts at the other answer (tests); 2 constant,
// so that the branch which nothing can take is not compiled, and not missed (ci/coverage). Programs behave the same in all three.
// The level is ASSAY_HARDENING_LEVEL: 1 fast, 2 extensive, 3 debug; the same in every translation unit of a program.
// Thread rules: any thread, at any time.
// Invariants:
//  (1) The line begins with "assay: ", says what the caller did, and is written by one system call.
//  (2) fail() never returns, allocates nothing, and runs no user code before abort().
#pragma once

#include <initializer_list>

#ifndef ASSAY_ALWAYS_KIND
#define ASSAY_ALWAYS_KIND 0
#endif

#ifndef ASSAY_HARDENING_LEVEL
#define ASSAY_HARDENING_LEVEL 2
#endif

static_assert(ASSAY_HARDENING_LEVEL >= 1 && ASSAY_HARDENING_LEVEL <= 3,
              "ASSAY_HARDENING_LEVEL is 1 (fast), 2 (extensive) or 3 (debug)");

namespace assay::audited {

// Writes "assay: MESSAGE [subject] (FILE:LINE)" to stderr and aborts.
[[noreturn, gnu::cold]] void fail(const char* message, const char* file, int line, const char* subject = nullptr) noexcept;

// Writes one line to stderr: "assay: " and the parts, in one system call. Truncates at 500 bytes.
void report_line(std::initializer_list<const char*> parts) noexcept;

}  // namespace assay::audited

#define ASSAY_CHECK(condition, message) \
  (__builtin_expect(!(condition), 0) ? ::assay::audited::fail(message, __FILE__, __LINE__) : static_cast<void>(0))

#if ASSAY_HARDENING_LEVEL >= 2
#define ASSAY_ASSERT(condition, message) ASSAY_CHECK(condition, message)
#else
#define ASSAY_ASSERT(condition, message) static_cast<void>(0)
#endif

#if ASSAY_HARDENING_LEVEL >= 3
#define ASSAY_DEBUG_ASSERT(condition, message) ASSAY_CHECK(condition, message)
#else
#define ASSAY_DEBUG_ASSERT(condition, message) static_cast<void>(0)
#endif

#if ASSAY_ALWAYS_KIND == 0
#define ASSAY_ALWAYS(condition) (condition)
#define ASSAY_NEVER(condition) (condition)
#elif ASSAY_ALWAYS_KIND == 1
#define ASSAY_ALWAYS(condition) \
  ((condition) ? true : (::assay::audited::fail("internal: not always " #condition, __FILE__, __LINE__), false))
#define ASSAY_NEVER(condition) \
  ((condition) ? (::assay::audited::fail("internal: not never " #condition, __FILE__, __LINE__), true) : false)
#else
#define ASSAY_ALWAYS(condition) (true)
#define ASSAY_NEVER(condition) (false)
#endif
