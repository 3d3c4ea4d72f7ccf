// libbench_allocations.so: malloc and its kin, in front of glibc's own. See allocations.hpp.
#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* bytes, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* bytes);
}

namespace {

constinit std::atomic<bool> counting = false;
constinit std::atomic<std::int64_t> allocations = 0;
constinit std::atomic<std::int64_t> live_bytes = 0;

std::int64_t size_of(void* bytes) {
  return bytes == nullptr ? 0 : static_cast<std::int64_t>(malloc_usable_size(bytes) + sizeof(std::size_t));
}

bool is_counting() { return counting.load(std::memory_order_relaxed); }

void* note(void* bytes) {
  if (is_counting() && bytes != nullptr) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    live_bytes.fetch_add(size_of(bytes), std::memory_order_relaxed);
  }
  return bytes;
}

}  // namespace

extern "C" {

void assay_bench_count_allocations(bool on) noexcept { counting.store(on, std::memory_order_relaxed); }
void assay_bench_allocation_totals(std::int64_t* count, std::int64_t* bytes) noexcept {
  *count = allocations.load();
  *bytes = live_bytes.load();
}

void* malloc(std::size_t size) noexcept { return note(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) noexcept { return note(__libc_calloc(count, size)); }
void* realloc(void* bytes, std::size_t size) noexcept {
  if (is_counting()) live_bytes.fetch_sub(size_of(bytes), std::memory_order_relaxed);
  return note(__libc_realloc(bytes, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return note(__libc_memalign(alignment, size)); }
void* memalign(std::size_t alignment, std::size_t size) noexcept { return note(__libc_memalign(alignment, size)); }
int posix_memalign(void** place, std::size_t alignment, std::size_t size) noexcept {
  void* const bytes = note(__libc_memalign(alignment, size));
  if (bytes == nullptr) return ENOMEM;
  *place = bytes;
  return 0;
}
void free(void* bytes) noexcept {
  if (is_counting()) live_bytes.fetch_sub(size_of(bytes), std::memory_order_relaxed);
  __libc_free(bytes);
}
}
