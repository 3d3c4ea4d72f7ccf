// Writes the last line of a program that broke a rule. See check.hpp. Uses a buffer on the stack only: it works when memory is
// exhausted or the heap is broken.
#include "assay/base/check.hpp"

#include <array>
#include <cstdlib>
#include <string_view>

#include "assay/audited/system.hpp"

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
    write_to_stderr(std::string_view(buffer_.data(), used_));
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

void report_line(std::initializer_list<const char*> parts) noexcept {
  Line out;
  out.add("assay: ");
  for (const char* const part : parts) out.add(part);
  out.write();
}

}  // namespace assay::audited
