// IntrusiveList against vectors: several lists, of two tags, over nodes that come and go.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "assay/audited/intrusive_list.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

class ListModel {
 public:
  static constexpr std::size_t node_count = 8;
  static constexpr std::size_t list_count = 5;
  static constexpr std::size_t first_of_second_tag = 3;  // lists 0 to 2 use one tag, 3 and 4 another

  enum Op : std::uint8_t {
    make_node,
    destroy_node,
    make_list,
    destroy_list,
    push_back,
    push_front,
    pop_front,
    unlink,
    splice_back,
    clear
  };
  static constexpr std::array<const char*, 10> names{"make_node", "destroy_node", "make_list", "destroy_list", "push_back",
                                                     "push_front", "pop_front", "unlink", "splice_back", "clear"};

  explicit ListModel(std::uint8_t) { lists.at(0).emplace(); }

  static std::size_t node_of(const Step& step) { return step.b % node_count; }
  static std::size_t list_of(const Step& step) { return step.a % list_count; }
  static std::size_t other_list_of(const Step& step) { return step.b % list_count; }
  static bool is_second(std::size_t list) { return list >= first_of_second_tag; }

  // The list of this tag in which the node is, or none.
  std::optional<std::size_t> home(std::size_t node, bool second) const {
    for (std::size_t list = 0; list < list_count; ++list) {
      if (!lists.at(list) || is_second(list) != second) continue;
      if (std::find(lists.at(list)->begin(), lists.at(list)->end(), node) != lists.at(list)->end()) return list;
    }
    return std::nullopt;
  }

  bool allows(const Step& step) const {
    const std::size_t node = node_of(step);
    const std::size_t list = list_of(step);
    switch (step.op) {
      case make_node: return !nodes.at(node);
      case destroy_node: return nodes.at(node);
      case make_list: return !lists.at(list);
      case push_back:
      case push_front: return lists.at(list) && nodes.at(node) && !home(node, is_second(list));
      case unlink: return nodes.at(node) && home(node, is_second(list));
      case splice_back:
        return list != other_list_of(step) && lists.at(list) && lists.at(other_list_of(step)) &&
               is_second(list) == is_second(other_list_of(step));
      default: return lists.at(list).has_value();
    }
  }

  void apply(const Step& step) {
    const std::size_t node = node_of(step);
    auto& list = lists.at(list_of(step));
    switch (step.op) {
      case make_node: nodes.at(node) = true; break;
      case destroy_node:
        remove(node, false);
        remove(node, true);
        nodes.at(node) = false;
        break;
      case make_list: list.emplace(); break;
      case destroy_list: list.reset(); break;
      case push_back: list->push_back(node); break;
      case push_front: list->insert(list->begin(), node); break;
      case pop_front:
        if (!list->empty()) list->erase(list->begin());
        break;
      case unlink: remove(node, is_second(list_of(step))); break;
      case splice_back: {
        auto& other = *lists.at(other_list_of(step));
        list->insert(list->end(), other.begin(), other.end());
        other.clear();
        break;
      }
      default: list->clear(); break;
    }
  }

  std::array<bool, node_count> nodes{};
  std::array<std::optional<std::vector<std::size_t>>, list_count> lists;

 private:
  void remove(std::size_t node, bool second) {
    const auto where = home(node, second);
    if (where) std::erase(*lists.at(*where), node);
  }
};

class ListSystem {
 public:
  ListSystem(Ledger& ledger, const ListModel& model) : ledger_(ledger) {
    for (std::size_t list = 0; list < ListModel::list_count; ++list) {
      if (model.lists.at(list)) make_list(list);
    }
  }

  void run(const Step& step, const ListModel&) {
    const std::size_t node = ListModel::node_of(step);
    const std::size_t list = ListModel::list_of(step);
    switch (step.op) {
      case ListModel::make_node: nodes_.at(node) = std::make_unique<Node>(ledger_, static_cast<int>(node)); return;
      case ListModel::destroy_node: nodes_.at(node).reset(); return;
      case ListModel::make_list: make_list(list); return;
      case ListModel::destroy_list:
        first_.at(list).reset();
        second_.at(list).reset();
        return;
      default: break;
    }
    if (ListModel::is_second(list)) {
      change<Second>(second_, step);
    } else {
      change<audited::DefaultTag>(first_, step);
    }
  }

  void compare(const ListModel& model) const {
    for (std::size_t list = 0; list < ListModel::list_count; ++list) {
      if (!model.lists.at(list)) continue;
      if (ListModel::is_second(list)) {
        compare_list(*second_.at(list), *model.lists.at(list));
      } else {
        compare_list(*first_.at(list), *model.lists.at(list));
      }
    }
    for (std::size_t node = 0; node < ListModel::node_count; ++node) {
      if (!model.nodes.at(node)) continue;
      expect(nodes_.at(node)->ListNode<Node>::is_linked() == model.home(node, false).has_value(), "is_linked");
      expect(nodes_.at(node)->ListNode<Node, Second>::is_linked() == model.home(node, true).has_value(), "is_linked, second");
    }
  }

 private:
  template <class T, class Tag = audited::DefaultTag>
  using ListNode = audited::ListNode<T, Tag>;
  struct Second {};
  // The links are not at the start of the object, as with most of what is listed.
  struct Node : Counted, audited::ListNode<Node>, audited::ListNode<Node, Second> {
    using Counted::Counted;
  };
  template <class Tag>
  using Lists = std::array<std::unique_ptr<audited::IntrusiveList<Node, Tag>>, ListModel::list_count>;

  void make_list(std::size_t list) {
    if (ListModel::is_second(list)) {
      second_.at(list) = std::make_unique<audited::IntrusiveList<Node, Second>>();
    } else {
      first_.at(list) = std::make_unique<audited::IntrusiveList<Node>>();
    }
  }

  template <class Tag>
  void change(Lists<Tag>& lists, const Step& step) {
    Node* const node = nodes_.at(ListModel::node_of(step)).get();
    auto* const list = lists.at(ListModel::list_of(step)).get();
    switch (step.op) {
      case ListModel::push_back: list->push_back(*node); break;
      case ListModel::push_front: list->push_front(*node); break;
      case ListModel::pop_front: {
        Node* const front = list->front();
        expect(list->pop_front() == front, "pop_front() gives front()");
        break;
      }
      case ListModel::unlink: static_cast<ListNode<Node, Tag>&>(*node).unlink(); break;
      case ListModel::splice_back: list->splice_back(*lists.at(ListModel::other_list_of(step))); break;
      default: list->clear(); break;
    }
  }

  template <class List>
  static void compare_list(const List& list, const std::vector<std::size_t>& expected) {
    expect(list.check_deep() == expected.size(), "the number of items");
    expect(list.empty() == expected.empty(), "empty()");
    const Node* node = list.front();
    for (const std::size_t index : expected) {
      expect(node != nullptr && node->value() == static_cast<int>(index), "the order of items");
      node = list.next(*node);
    }
    expect(node == nullptr, "the end of the list");
  }

  Ledger& ledger_;
  std::array<std::unique_ptr<Node>, ListModel::node_count> nodes_;
  Lists<audited::DefaultTag> first_;
  Lists<Second> second_;
};

}  // namespace assay::testkit
