// Purpose: the assertions of assay, and the one way in which it gives up: a line on stderr, then abort().
//
//   ASSAY_CHECK(condition, "what the user did")    every level: a broken promise here would be undefined behaviour
//   ASSAY_ASSERT(condition, "...")                 level 2 (extensive, the default) and up: cheap internal invariants
//   ASSAY_DEBUG_ASSERT(condition, "...")           level 3 (debug): also what costs more than O(1)
//
// The level is ASSAY_HARDENING_LEVEL: 1 fast, 2 extensive, 3 debug; the same in every translation unit of a program.
// Thread rules: any thread, at any time.
// Invariants:
//  (1) The line begins with "assay: ", says what the caller did, and is written by one system call.
//  (2) fail() never returns, allocates nothing, and runs no user code before abort().
#pragma once

#include <initializer_list>

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
