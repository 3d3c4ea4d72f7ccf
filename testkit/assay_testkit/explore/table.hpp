// An execution as a table that one can read: a line for each operation, a column for each thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "assay_testkit/explore/memory.hpp"

namespace assay::testkit::explorer {

inline const char* name_of(Order order) {
  constexpr const char* names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
  return names[static_cast<int>(order)];
}

// Small negative numbers and pointers are recognised best as what they are.
inline std::string number(std::uint64_t value) {
  const auto as_signed = static_cast<std::int64_t>(value);
  if (value <= 0xffffffffU || (as_signed < 0 && as_signed > -1000)) return std::to_string(as_signed);
  std::ostringstream hexadecimal;
  hexadecimal << "0x" << std::hex << value;
  return hexadecimal.str();
}

// "a0 = 1 release", "a0 is 0 at first acquire", ...
inline std::string describe(const Event& event, const std::vector<Event>& events, std::uint32_t line) {
  const Operation& operation = event.operation;
  const std::string atomic = "a" + std::to_string(operation.object);
  // Where the value that was read comes from.
  const auto source = [&] {
    std::uint32_t from = none;
    std::uint32_t last = none;
    for (std::uint32_t at = 0; at != line; ++at) {
      const Event& earlier = events[at];
      if (!earlier.operation.is_atomic() || earlier.operation.object != operation.object || earlier.wrote == none)
        continue;
      last = at;
      if (earlier.wrote == event.read) from = at;
    }
    return (from == none ? " at first" : " of " + std::to_string(from + 1)) + (from == last ? "" : ", not the last");
  };
  const std::string order = std::string(" ") + name_of(operation.order);
  switch (operation.kind) {
    case Kind::start:
      return "starts";
    case Kind::load:
      return atomic + " is " + number(event.before) + source() + order;
    case Kind::store:
      return atomic + " = " + number(event.after) + order;
    case Kind::rmw:
      return atomic + " " + number(event.before) + " -> " + number(event.after) + order;
    case Kind::cas:
      if (event.wrote != none) return atomic + " " + number(event.before) + " -> " + number(event.after) + order;
      return atomic + " is " + number(event.before) + source() + ", not " + number(operation.expected) + " " +
             name_of(operation.failure);
    case Kind::lock:
      return "locks m" + std::to_string(operation.object);
    case Kind::unlock:
      return "unlocks m" + std::to_string(operation.object);
    case Kind::wait:
      return "waits for c" + std::to_string(operation.object) + ", unlocks m" + std::to_string(operation.mutex);
    case Kind::relock:
      return std::string(event.choice == failed ? "wakes spuriously" : "was notified") + ", locks m" +
             std::to_string(operation.mutex);
    case Kind::notify_one:
      return "notifies one of c" + std::to_string(operation.object);
    case Kind::notify_all:
      return "notifies all of c" + std::to_string(operation.object);
    case Kind::join:
      return std::string("joins ") + static_cast<char>('A' + operation.object);
    case Kind::yield:
      return "yields";
  }
  return "";
}

inline std::string table_of(const std::vector<Event>& events) {
  if (events.empty()) return "";
  std::vector<std::string> texts;
  std::uint32_t threads = 0;
  std::array<std::size_t, max_threads> widths{};
  for (std::uint32_t at = 0; at != events.size(); ++at) {
    texts.push_back(describe(events[at], events, at));
    threads = std::max(threads, events[at].thread + 1);
    widths[events[at].thread] = std::max(widths[events[at].thread], texts.back().size());
  }
  std::string table = "     ";
  for (std::uint32_t thread = 0; thread != threads; ++thread) {
    std::string head = "thread " + std::string(1, static_cast<char>('A' + thread));
    widths[thread] = std::max(widths[thread], head.size()) + 2;
    head.resize(widths[thread], ' ');
    table += head;
  }
  while (table.back() == ' ') table.pop_back();
  table += '\n';
  for (std::uint32_t at = 0; at != events.size(); ++at) {
    std::string line = std::to_string(at + 1);
    line.insert(0, line.size() < 4 ? 4 - line.size() : 0, ' ');
    line += ' ';
    for (std::uint32_t thread = 0; thread != events[at].thread; ++thread) line.append(widths[thread], ' ');
    table += line + texts[at] + '\n';
  }
  return table;
}

}  // namespace assay::testkit::explorer
