// Runs a fuzz target, built without an engine, on every file and folder of files given. Where a folder may be missing,
// `--optional` stands before it. Fails when nothing was run: a replay of no input proves nothing.
//
// Only the C library here: TypeSanitizer (clang 22) reports std::string and std::filesystem, of which one half is in a library that
// was built without it.

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "assay/base/tools.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#if defined(ASSAY_WITH_TYSAN)
extern "C" void tysan_set_type_unknown(const void* bytes, std::size_t size);
extern "C" const char __executable_start;  // the linker's: everything from there to _end is the program's code and globals
extern "C" const char _end;

namespace {

// Where the tool would take sound code for broken, it is told that it knows nothing: then the first write says what an object is.
void forget_wrong_types() {
  // It describes global arrays inside of classes, std::array for one, in such a way that no access to an element fits.
  tysan_set_type_unknown(&__executable_start, static_cast<std::size_t>(&_end - &__executable_start));
  // This thread's variables, which lie right before the thread's control block.
  constexpr std::size_t most = 8192;
  tysan_set_type_unknown(static_cast<const char*>(__builtin_thread_pointer()) - most, most);
}

}  // namespace

// It does not see aligned allocations, and would remember what was there before.
void* operator new(std::size_t size, std::align_val_t alignment) {
  void* bytes = nullptr;
  if (posix_memalign(&bytes, static_cast<std::size_t>(alignment), size) != 0) throw std::bad_alloc();
  tysan_set_type_unknown(bytes, size);
  return bytes;
}
void operator delete(void* bytes, std::align_val_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t, std::align_val_t) noexcept { std::free(bytes); }
#endif

namespace {

[[noreturn]] void stop(const char* path) {
  std::fprintf(stderr, "replay: %s: %s\n", path, std::strerror(errno));
  std::exit(1);
}

// An exact-sized heap block, so that a read past the input is seen.
void replay(const char* path, std::size_t size) {
  std::fprintf(stderr, "%s\n", path);  // before the run, so that a crash is preceded by the name of its input
  std::FILE* const file = std::fopen(path, "rb");
  auto* const bytes = static_cast<std::uint8_t*>(std::malloc(size > 0 ? size : 1));
  if (file == nullptr || bytes == nullptr || std::fread(bytes, 1, size, file) != size) stop(path);
  std::fclose(file);
  LLVMFuzzerTestOneInput(bytes, size);
  std::free(bytes);
}

// The number of files under it; each is replayed, a folder's in the order of their names.
std::size_t replay_all(const char* path, bool may_be_missing) {
  struct stat status{};
  if (::stat(path, &status) != 0) {
    if (may_be_missing && errno == ENOENT) return 0;
    stop(path);
  }
  if (!S_ISDIR(status.st_mode)) {
    replay(path, static_cast<std::size_t>(status.st_size));
    return 1;
  }
  dirent** entries = nullptr;
  const int count = ::scandir(path, &entries, [](const dirent* entry) { return entry->d_name[0] != '.' ? 1 : 0; }, ::alphasort);
  if (count < 0) stop(path);
  std::size_t replayed = 0;
  for (int i = 0; i < count; ++i) {
    char inner[4096];
    if (std::snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name) >= static_cast<int>(sizeof inner)) {
      errno = ENAMETOOLONG;
      stop(path);
    }
    replayed += replay_all(inner, false);
    std::free(entries[i]);
  }
  std::free(entries);
  return replayed;
}

}  // namespace

int main(int argc, char** argv) {
#if defined(ASSAY_WITH_TYSAN)
  forget_wrong_types();
#endif
  std::size_t replayed = 0;
  bool optional = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--optional") == 0) {
      optional = true;
      continue;
    }
    replayed += replay_all(argv[i], optional);
    optional = false;
  }
  std::printf("replayed %zu inputs\n", replayed);
  return replayed == 0 ? 1 : 0;
}
