// Purpose: writes the last line of a program that broke a rule. See check.hpp.
// Thread rules: any thread.
// Invariants:
//  (1) Only a buffer on the stack and write(2): usable when memory is exhausted or the heap is broken.
#include "assay/audited/check.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace assay::audited {

namespace {

class Line {
 public:
  void add(std::string_view text) noexcept {
    for (const char c : text) {
      if (used_ + 1 >= buffer_.size()) return;
      buffer_.at(used_++) = c;
    }
  }

  void add(int number) noexcept {
    std::array<char, 12> digits{};
    std::size_t first = digits.size();
    do {
      digits.at(--first) = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    add(std::string_view(digits.data(), digits.size()).substr(first));
  }

  void write() noexcept {
    buffer_.at(used_++) = '\n';
    // SAFETY(Y1): writes the used_ <= 512 bytes that add() stored in our own array; a failed write leaves nothing to do.
    static_cast<void>(!::write(STDERR_FILENO, buffer_.data(), used_));
  }

 private:
  std::array<char, 512> buffer_{};
  std::size_t used_ = 0;
};

std::string_view base_name(std::string_view path) noexcept {
  const std::size_t at = path.rfind("assay/");
  return at == std::string_view::npos ? path : path.substr(at);
}

}  // namespace

void fail(const char* message, const char* file, int line, const char* subject) noexcept {
  Line out;
  out.add("assay: ");
  out.add(message);
  if (subject != nullptr) {
    out.add(": ");
    out.add(subject);
  }
  out.add(" (");
  out.add(base_name(file));
  out.add(":");
  out.add(line);
  out.add(")");
  out.write();
  std::abort();
}

void report_line(const char* const* parts, int count) noexcept {
  Line out;
  out.add("assay: ");
  // SAFETY(Y2): the callers, all in this library, pass an array of `count` C strings.
  for (int i = 0; i < count; ++i) out.add(parts[i]);
  out.write();
}

}  // namespace assay::audited
