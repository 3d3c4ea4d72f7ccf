// Cuts a stream of bytes into lines.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace watchd {

class Lines {
 public:
  static constexpr std::size_t longest = 1000;

  struct Line {
    std::string text;  // without its end
    bool too_long = false;
  };

  void add(std::string_view bytes) { buffer_ += bytes; }

  // No more will come: what is left is a line, too.
  void end() {
    if (!buffer_.empty() || skipping_) buffer_ += '\n';
  }

  // The next whole line. What is longer than `longest` comes as one empty line that says so.
  std::optional<Line> next() {
    const std::size_t end = buffer_.find('\n');
    if (end == std::string::npos) {
      if (buffer_.size() > longest) {
        buffer_.clear();
        skipping_ = true;
      }
      return std::nullopt;
    }
    Line line{buffer_.substr(0, end), skipping_ || end > longest};
    buffer_.erase(0, end + 1);
    skipping_ = false;
    if (line.too_long) line.text.clear();
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    return line;
  }

 private:
  std::string buffer_;
  bool skipping_ = false;
};

}  // namespace watchd
