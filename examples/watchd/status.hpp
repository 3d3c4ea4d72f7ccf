// What the daemon knows about itself, and how it shows it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <assay/notify.hpp>

namespace watchd {

enum class Source : std::uint8_t { directory, control, input, signals, reports };
inline constexpr std::array<const char*, 5> source_names{"directory", "control", "stdin", "signals", "reports"};

// Text from outside, fit for a terminal: control characters become '?', and it is cut at `most` bytes.
std::string printable(std::string_view text, std::size_t most = 60);

class Status {
 public:
  Status(std::string directory, std::string socket, bool table);
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;

  // Counts an event, and says it: as a line, or at the next drawing of the table.
  void happened(Source source, std::string_view what);
  // Says something, where lines are said.
  void say(std::string_view text) const;

  // Everything in one line: key=value, separated by blanks.
  std::string line() const;

  // Draws the table in place of the one before it; or prints line().
  void report();
  // Leaves the terminal below the table.
  void finish(std::string_view last_words);

  // Notified when there is something new to draw.
  assay::Notify changed;
  std::size_t clients = 0;

 private:
  struct Row {
    std::uint64_t events = 0;
    std::string last = "-";
  };

  Row& row(Source source) { return rows_.at(static_cast<std::size_t>(source)); }
  double uptime() const;

  std::string directory_;
  std::string socket_;
  bool table_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::array<Row, source_names.size()> rows_;
  std::size_t lines_drawn_ = 0;
};

}  // namespace watchd
