// An execution as a table that one can read: a line for each operation, a column for each thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "assay_testkit/explore/memory.hpp"

namespace assay::testkit::explorer {

inline const char* name_of(Order order) {
  constexpr const char* names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
  return names[static_cast<int>(order)];
}

// "a0 = 1 (release)", "a0 is 0, the initial value", ...
inline std::string describe(const Event& event, const std::vector<Event>& events, std::uint32_t line) {
  const Operation& operation = event.operation;
  const std::string atomic = "a" + std::to_string(operation.object);
  const auto number = [](std::uint64_t value) {
    // Small negative numbers and pointers are recognised best as what they are.
    if (value > 0xffffffffU)
      return static_cast<std::int64_t>(value) < 0 && static_cast<std::int64_t>(value) > -1000
                 ? std::to_string(static_cast<std::int64_t>(value))
                 : "0x" + [value] {
                     std::string digits;
                     for (std::uint64_t rest = value; rest != 0; rest >>= 4)
                       digits.insert(digits.begin(), "0123456789abcdef"[rest & 15]);
                     return digits;
                   }();
    return std::to_string(value);
  };
  const auto source = [&]() -> std::string {
    for (std::uint32_t at = line; at-- > 0;) {
      if (events[at].operation.is_atomic() && events[at].operation.object == operation.object &&
          events[at].wrote == event.read) {
        bool is_last = true;
        for (std::uint32_t later = at + 1; later != line; ++later) {
          if (events[later].operation.is_atomic() && events[later].operation.object == operation.object &&
              events[later].wrote != none)
            is_last = false;
        }
        return " of " + std::to_string(at + 1) + (is_last ? "" : ", not the last");
      }
    }
    bool is_last = true;
    for (std::uint32_t at = 0; at != line; ++at) {
      if (events[at].operation.is_atomic() && events[at].operation.object == operation.object &&
          events[at].wrote != none)
        is_last = false;
    }
    return is_last ? " at first" : " at first, not the last";
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
