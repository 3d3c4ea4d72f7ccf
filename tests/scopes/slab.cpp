// Three entries of a slab, of three sizes, two of which are larger than any class of slots; its tags are of two bits, so that a slot is used twice and then retired.
#include "assay_testkit/enumerate.hpp"
#include "assay_testkit/models/slab.hpp"

using namespace assay::testkit;

namespace {

constexpr std::uint8_t entries = 3;

std::uint8_t taken(const SlabModel& model) {
  std::uint8_t count = 0;
  for (std::uint8_t entry = 0; entry < entries; ++entry) count = static_cast<std::uint8_t>(count + (model.entries.at(entry).taken ? 1 : 0));
  return count;
}

std::string key_of(const SlabModel& model) {
  std::string key;
  for (std::uint8_t entry = 0; entry < entries; ++entry) {
    key += model.entries.at(entry).taken ? std::to_string(model.entries.at(entry).size) + " " : "- ";
  }
  return key + (model.large_reserved ? "large" : "");
}

// Option: see SlabModel. Which entry is given back matters, which of the empty ones is filled does not.
Scope<SlabModel> scope_of(const std::string& name, std::uint8_t option, unsigned depth) {
  Scope<SlabModel> scope;
  scope.name = name;
  scope.option = option;
  scope.depth = depth;
  scope.key = key_of;
  for (std::uint8_t entry = 0; entry < entries; ++entry) {
    const std::string text = " " + std::to_string(entry);
    const auto is_first_empty = [entry](const SlabModel& model) {
      for (std::uint8_t before = 0; before < entry; ++before) {
        if (!model.entries.at(before).taken) return false;
      }
      return true;
    };
    scope.operations.push_back({"take" + text, {Step{SlabModel::take, entry, 0, 0}}, is_first_empty});
    scope.operations.push_back({"take large" + text, {Step{SlabModel::take, entry, 41, 0}}, is_first_empty});
    scope.operations.push_back({"take larger" + text, {Step{SlabModel::take, entry, 41 + 3 * 42, 0}}, is_first_empty});
    scope.operations.push_back({"reserve two and take" + text, {Step{SlabModel::reserve_and_take, entry, 0, 1}},
                                [is_first_empty](const SlabModel& model) { return is_first_empty(model) && taken(model) + 2 <= entries; }});
    scope.operations.push_back({"release" + text, {Step{SlabModel::release, entry, 0, 0}}, {}});
    scope.operations.push_back({"abandon" + text, {Step{SlabModel::abandon, entry, 0, 0}}, {}});
  }
  scope.operations.push_back({"take and release", {Step{SlabModel::churn, 0, 0, 1}}, {}});
  return scope;
}

}  // namespace

int main(int count, char** words) {
  return scope_main<SlabModel, SlabSystem>(count, words, {scope_of("slab", 0, 8), scope_of("slab of two slots", 1 + 64, 8)});
}
