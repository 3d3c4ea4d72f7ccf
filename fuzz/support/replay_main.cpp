// Runs a fuzz target, built without an engine, on every file and folder of files given. Where a folder may be missing,
// `--optional` stands before it. Fails when nothing was run: a replay of no input proves nothing.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_under(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) {
    return {path};
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.')) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// An exact-sized heap block, so that a read past the input is seen.
void replay(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t replayed = 0;
  bool optional = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--optional") {
      optional = true;
      continue;
    }
    const bool may_be_missing = std::exchange(optional, false);
    if (!std::filesystem::exists(argument)) {
      if (may_be_missing) {
        continue;
      }
      std::fprintf(stderr, "replay: there is no %s\n", argv[i]);
      return 1;
    }
    for (const auto& file : files_under(argument)) {
      // Before the run, so that a crash is preceded by the name of its input.
      std::fprintf(stderr, "%s\n", file.c_str());
      replay(file);
      ++replayed;
    }
  }
  std::printf("replayed %zu inputs\n", replayed);
  return replayed == 0 ? 1 : 0;
}
