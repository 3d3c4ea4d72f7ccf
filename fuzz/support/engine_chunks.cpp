// A slab's chunks, kept from one input to the next. AddressSanitizer maps each anew, since of its own sizes none is aligned to
// 32 KiB: with its page faults that is more than all else that an input does.
//
// What AddressSanitizer sees stays: behind what was asked for lies poison, and a chunk that was freed is poisoned and waits
// until `waiting` more are freed. A chunk in use is in no table, so that LeakSanitizer sees it lost. And one thing that it would
// not see: a slab that takes the poison off more than it asked for.

#include <sanitizer/allocator_interface.h>
#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace {

constexpr std::size_t chunk_alignment = std::size_t{32} << 10;
constexpr std::size_t chunk_bytes = std::size_t{40} << 10;  // of each that is kept; what is larger is not
constexpr std::size_t guard_bytes = 64;                      // at least so much poison lies behind what was asked for
constexpr std::size_t largest = chunk_bytes - guard_bytes - sizeof(std::size_t);
constexpr std::size_t waiting = 8;
constexpr std::size_t most_kept = 128;

class FreeChunks {
 public:
  // The oldest; null when too few wait.
  void* take() {
    const std::lock_guard lock(mutex_);
    if (count_ <= waiting) return nullptr;
    --count_;
    return std::exchange(ring_.at(first_++ % most_kept), nullptr);
  }
  // False: there are enough.
  bool put(void* chunk) {
    const std::lock_guard lock(mutex_);
    if (count_ == most_kept) return false;
    ring_.at((first_ + count_++) % most_kept) = chunk;
    return true;
  }

 private:
  std::mutex mutex_;
  std::array<void*, most_kept> ring_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

constinit FreeChunks free_chunks;

[[noreturn]] void report(const char* what) {
  std::fprintf(stderr, "assay fuzz: %s\n", what);
  std::abort();
}

// Where a chunk's last bytes keep how many were asked for.
std::byte* size_in(void* chunk) { return static_cast<std::byte*>(chunk) + chunk_bytes - sizeof(std::size_t); }

void check_guard(void* chunk) {
  std::size_t size = 0;
  __asan_unpoison_memory_region(size_in(chunk), sizeof size);
  std::memcpy(&size, size_in(chunk), sizeof size);
  for (std::size_t at = 0; at < guard_bytes; at += 8) {
    // A chunk's size is a multiple of 8: of each 8 bytes all are poisoned, or none.
    if (__asan_address_is_poisoned(static_cast<std::byte*>(chunk) + size + at) == 0) {
      report("memory behind a chunk was unpoisoned");
    }
  }
}

void* allocate(std::size_t size, std::size_t alignment) {
  void* bytes = nullptr;
  if (posix_memalign(&bytes, alignment, size) != 0) throw std::bad_alloc();
  return bytes;
}

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment) {
  if (alignment != std::align_val_t{chunk_alignment} || size > largest) {
    return allocate(size, static_cast<std::size_t>(alignment));
  }
  void* chunk = free_chunks.take();
  if (chunk == nullptr) {
    chunk = allocate(chunk_bytes, chunk_alignment);
    __asan_poison_memory_region(chunk, chunk_bytes);
  }
  __asan_unpoison_memory_region(size_in(chunk), sizeof size);
  std::memcpy(size_in(chunk), &size, sizeof size);
  __asan_poison_memory_region(size_in(chunk), sizeof size);
  __asan_unpoison_memory_region(chunk, size);
  std::memset(chunk, 0xbe, std::min(size, std::size_t{4096}));  // as AddressSanitizer does
  return chunk;
}

void operator delete(void* bytes, std::align_val_t alignment) noexcept {
  if (bytes == nullptr) return;
  if (alignment == std::align_val_t{chunk_alignment} && __sanitizer_get_allocated_size_fast(bytes) == chunk_bytes) {
    if (__asan_address_is_poisoned(bytes) != 0) report("a chunk was freed twice");
    check_guard(bytes);
    __asan_poison_memory_region(bytes, chunk_bytes);
    if (free_chunks.put(bytes)) return;
    __asan_unpoison_memory_region(bytes, chunk_bytes);
  }
  std::free(bytes);
}

void operator delete(void* bytes, std::size_t, std::align_val_t alignment) noexcept { operator delete(bytes, alignment); }
