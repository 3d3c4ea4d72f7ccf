// Two lists and three nodes: all that can be done with them.
#include "assay_testkit/enumerate.hpp"
#include "assay_testkit/models/intrusive_list.hpp"

using namespace assay::testkit;

namespace {

constexpr std::uint8_t lists = 2;
constexpr std::uint8_t nodes = 3;

std::string key_of(const ListModel& model) {
  std::string key;
  for (std::uint8_t node = 0; node < nodes; ++node) key += model.nodes.at(node) ? 'n' : '-';
  for (std::uint8_t list = 0; list < lists; ++list) {
    key += model.lists.at(list) ? '[' : '-';
    if (!model.lists.at(list)) continue;
    for (const std::size_t node : *model.lists.at(list)) key += static_cast<char>('0' + node);
  }
  return key;
}

Scope<ListModel> scope_of(const std::string& name, unsigned depth, bool prune) {
  Scope<ListModel> scope;
  scope.name = name;
  scope.depth = depth;
  scope.prune = prune;
  scope.key = key_of;
  scope.prologue = {Step{ListModel::make_list, 1, 0, 0}};
  for (std::uint8_t node = 0; node < nodes; ++node) scope.prologue.push_back(Step{ListModel::make_node, 0, node, 0});
  const auto add = [&](std::uint8_t what, std::uint8_t list, std::uint8_t other, const std::string& words) {
    scope.operations.push_back({ListModel::names.at(what) + words, {Step{what, list, other, 0}}, {}});
  };
  for (std::uint8_t node = 0; node < nodes; ++node) {
    const std::string text = " " + std::to_string(node);
    for (const std::uint8_t what : {ListModel::make_node, ListModel::destroy_node, ListModel::unlink}) add(what, 0, node, text);
    for (std::uint8_t list = 0; list < lists; ++list) {
      for (const std::uint8_t what : {ListModel::push_back, ListModel::push_front}) {
        add(what, list, node, text + " to list " + std::to_string(list));
      }
    }
  }
  for (std::uint8_t list = 0; list < lists; ++list) {
    const std::string text = " " + std::to_string(list);
    for (const std::uint8_t what : {ListModel::make_list, ListModel::destroy_list, ListModel::pop_front, ListModel::clear}) {
      add(what, list, 0, text);
    }
    add(ListModel::splice_back, list, static_cast<std::uint8_t>(1 - list), text + " from the other");
  }
  return scope;
}

}  // namespace

int main(int count, char** words) {
  return scope_main<ListModel, ListSystem>(count, words, {scope_of("list", 6, false), scope_of("list, by states", 30, true)});
}
