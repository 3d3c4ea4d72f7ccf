// Purpose: one spelling, for every compiler, of the attributes that let a compiler refuse misuse.
// Thread rules: none, these are compile-time only.
// Invariants:
//  (1) Every macro here may expand to nothing: no behaviour hangs on it.
#pragma once

// Inlined also where the compiler takes it for too large: the few functions that each poll goes through.
#define ASSAY_HOT [[gnu::always_inline]] inline
// Seldom executed: out of the way of what is hot.
#define ASSAY_COLD [[gnu::cold, gnu::noinline]]

#if defined(__clang__)
// The result of a call holds on to this argument (or to *this, when written after a member function).
#define ASSAY_LIFETIMEBOUND [[clang::lifetimebound]]
// A coroutine return type: with ASSAY_CORO_LIFETIMEBOUND, arguments and captures that would dangle are refused.
#define ASSAY_CORO_RETURN_TYPE [[clang::coro_return_type]]
#define ASSAY_CORO_LIFETIMEBOUND [[clang::coro_lifetimebound]]
#define ASSAY_CORO_WRAPPER [[clang::coro_wrapper]]
#define ASSAY_CORO_DISABLE_LIFETIMEBOUND [[clang::coro_disable_lifetimebound]]
// A function whose contract the compiler cannot check: each call needs a SAFETY comment.
#define ASSAY_UNSAFE [[clang::annotate("assay::unsafe")]]
#define ASSAY_CAPABILITY(name) __attribute__((capability(name)))
#define ASSAY_GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define ASSAY_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define ASSAY_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define ASSAY_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ASSAY_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#else
#define ASSAY_LIFETIMEBOUND
#define ASSAY_CORO_RETURN_TYPE
#define ASSAY_CORO_LIFETIMEBOUND
#define ASSAY_CORO_WRAPPER
#define ASSAY_CORO_DISABLE_LIFETIMEBOUND
#define ASSAY_UNSAFE
#define ASSAY_CAPABILITY(name)
#define ASSAY_GUARDED_BY(lock)
#define ASSAY_ACQUIRE(...)
#define ASSAY_RELEASE(...)
#define ASSAY_REQUIRES(...)
#define ASSAY_SCOPED_CAPABILITY
#endif
