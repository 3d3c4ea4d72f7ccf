// Records what g++ 12 gets wrong about coroutines (docs/compilers.md), so that we notice when it no longer does: each
// shape of tests/gcc_canary is compiled here with g++ and with clang. g++ 12 must still be wrong, clang right, and what
// we write instead (WORKAROUND) right with both. ASSAY_CANARY_GXX and ASSAY_CANARY_CLANG name other compilers.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

struct Compiler {
  std::string command;
  bool there = false;
  int major = 0;
};

Compiler find_compiler(const char* variable, const char* otherwise) {
  const char* const named = std::getenv(variable);
  Compiler compiler{.command = named != nullptr ? named : otherwise};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(
      ::popen((compiler.command + " -dumpversion 2>/dev/null").c_str(), "r"), ::pclose);
  std::array<char, 64> line{};
  if (pipe == nullptr || std::fgets(line.data(), static_cast<int>(line.size()), pipe.get()) == nullptr) return compiler;
  compiler.major = std::atoi(line.data());
  compiler.there = compiler.major > 0;
  return compiler;
}

// A folder that goes with this object.
class Scratch {
 public:
  Scratch() {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::remove(program().c_str());
    ::rmdir(path_.c_str());
  }
  std::string program() const { return path_ + "/program"; }

 private:
  std::string path_ = "/tmp/assay-canary-XXXXXX";
};

enum class Outcome { refused, right, wrong };

// Compiles and runs one shape, without optimisation.
Outcome outcome_of(const Compiler& compiler, const std::string& name, bool workaround) {
  const Scratch scratch;
  const std::string compile = compiler.command + " -std=c++20 -O0 -w " + (workaround ? "-DWORKAROUND " : "") +
                              ASSAY_SOURCE_DIR + "/tests/gcc_canary/" + name + ".cpp -o " + scratch.program() +
                              " >/dev/null 2>&1";
  if (std::system(compile.c_str()) != 0) return Outcome::refused;
  const int status = std::system((scratch.program() + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Outcome::right : Outcome::wrong;
}

const Compiler& gxx() {
  static const Compiler found = find_compiler("ASSAY_CANARY_GXX", "g++");
  return found;
}
const Compiler& clang() {
  static const Compiler found = find_compiler("ASSAY_CANARY_CLANG", "clang++-19");
  return found;
}

}  // namespace

TEST_CASE("g++ 12 still miscompiles these coroutines, and clang does not", "[gcc_canary]") {
  if (sanitized) SKIP("how compilers translate other programs does not depend on how this one was built");
  const std::string name = GENERATE(as<std::string>(), "aggregate_temporary", "closure_temporary", "function_temporary",
                                    "condition_without_local", "switch_without_local", "while_without_local",
                                    "initializer_list", "transfer_in_a_row");
  CAPTURE(name);
  CHECK((gxx().there || clang().there));
  if (gxx().there) {
    CHECK(outcome_of(gxx(), name, true) == Outcome::right);
    if (gxx().major == 12) {
      INFO("g++ 12 is right about this: take it out of docs/compilers.md, and write it as one pleases");
      CHECK(outcome_of(gxx(), name, false) == (name == "initializer_list" ? Outcome::refused : Outcome::wrong));
    }
  }
  if (clang().there) {
    CHECK(outcome_of(clang(), name, false) == Outcome::right);
    CHECK(outcome_of(clang(), name, true) == Outcome::right);
  }
}
