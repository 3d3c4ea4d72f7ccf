#include "status.hpp"

#include <cstdio>
#include <utility>

namespace watchd {

std::string printable(std::string_view text, std::size_t most) {
  std::string result;
  for (const char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  if (text.size() > most) result += "...";
  return result;
}

Status::Status(std::string directory, std::string socket, bool table)
    : directory_(printable(directory)), socket_(printable(socket)), table_(table) {}

void Status::happened(Source source, std::string_view what) {
  ++row(source).events;
  row(source).last = printable(what);
  changed.notify_one();
  say(std::string(source_names.at(static_cast<std::size_t>(source))) + ": " + row(source).last);
}

void Status::say(std::string_view text) const {
  if (table_) return;
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(stdout);
}

double Status::uptime() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

std::string Status::line() const {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "up=%.1fs", uptime());
  std::string text = seconds.data();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    text += std::string(" ") + source_names.at(i) + "=" + std::to_string(rows_.at(i).events);
  }
  return text + " clients=" + std::to_string(clients);
}

void Status::report() {
  ++row(Source::reports).events;
  if (!table_) return say("report: " + line());
  std::string text;
  if (lines_drawn_ != 0) text += "\x1b[" + std::to_string(lines_drawn_) + "A";  // up to where the last one began
  std::size_t lines = 0;
  const auto add = [&](const char* left, const std::string& middle, const std::string& right) {
    std::array<char, 256> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%-10s %10s  %s\x1b[K\n", left, middle.c_str(), right.c_str());
    text += buffer.data();
    ++lines;
  };
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.1f s", uptime());
  add("watchd", seconds.data(), directory_);
  add("source", "events", "last");
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    add(source_names.at(i), std::to_string(rows_.at(i).events), rows_.at(i).last);
  }
  add("clients", std::to_string(clients), socket_);
  lines_drawn_ = lines;
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Status::finish(std::string_view last_words) {
  if (table_) report();
  std::printf("%.*s\n", static_cast<int>(last_words.size()), last_words.data());
  std::fflush(stdout);
}

}  // namespace watchd
