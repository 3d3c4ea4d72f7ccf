// A slab's chunks, kept from one input to the next. AddressSanitizer maps each anew, since of its own sizes none is aligned to
// 64 KiB: with its page faults that is more than all else that an input does.
//
// What AddressSanitizer sees stays: behind what was asked for lies poison, and a chunk that was freed is poisoned and waits
// until `waiting` more are freed. A chunk in use is in no table, so that LeakSanitizer sees it lost.

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

constexpr std::size_t chunk_alignment = std::size_t{64} << 10;
constexpr std::size_t chunk_bytes = std::size_t{72} << 10;  // of each that is kept; what is larger is not
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

void* allocate(std::size_t size, std::size_t alignment) {
  void* bytes = nullptr;
  if (posix_memalign(&bytes, alignment, size) != 0) throw std::bad_alloc();
  return bytes;
}

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment) {
  if (alignment != std::align_val_t{chunk_alignment} || size > chunk_bytes) {
    return allocate(size, static_cast<std::size_t>(alignment));
  }
  void* chunk = free_chunks.take();
  if (chunk == nullptr) {
    chunk = allocate(chunk_bytes, chunk_alignment);
    __asan_poison_memory_region(chunk, chunk_bytes);
  }
  __asan_unpoison_memory_region(chunk, size);
  std::memset(chunk, 0xbe, std::min(size, std::size_t{4096}));  // as AddressSanitizer does
  return chunk;
}

void operator delete(void* bytes, std::align_val_t alignment) noexcept {
  if (bytes == nullptr) return;
  if (alignment == std::align_val_t{chunk_alignment} && __sanitizer_get_allocated_size_fast(bytes) == chunk_bytes) {
    if (__asan_address_is_poisoned(bytes) != 0) {
      std::fprintf(stderr, "assay fuzz: a chunk was freed twice\n");
      std::abort();
    }
    __asan_poison_memory_region(bytes, chunk_bytes);
    if (free_chunks.put(bytes)) return;
    __asan_unpoison_memory_region(bytes, chunk_bytes);
  }
  std::free(bytes);
}

void operator delete(void* bytes, std::size_t, std::align_val_t alignment) noexcept { operator delete(bytes, alignment); }
