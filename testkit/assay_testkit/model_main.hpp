// The main() of a program of registered models (model.hpp): runs them, or shows what their memory orders are for.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "assay_testkit/explore/heap.hpp"
#include "assay_testkit/model.hpp"

namespace assay::testkit {

namespace detail {

// One line for each way in which one order can be weakened: file, line, function, operation, its order, the weaker one,
// and the first model that then fails, or "none". Tabs between them.
inline int print_orders(const std::vector<const RegisteredModel*>& models) {
  explorer::Weakening& weakening = explorer::Weakening::here();
  ModelOutput::here().quiet = true;
  std::vector<explorer::OrderedPlaces> places_of(models.size());
  explorer::OrderedPlaces all;
  weakening.is_recording = true;
  for (std::size_t at = 0; at != models.size(); ++at) {
    weakening.places.clear();
    if (models[at]->run() != 0) {
      std::fprintf(stderr, "model %s fails as it is\n", models[at]->name.c_str());
      return 1;
    }
    places_of[at] = weakening.places;
    all.insert(weakening.places.begin(), weakening.places.end());
  }
  weakening.is_recording = false;
  for (const auto& [key, place] : all) {
    for (const explorer::Order order : explorer::weaker(place.order)) {
      std::string_view fails = "none";
      for (std::size_t at = 0; at != models.size() && fails == "none"; ++at) {
        if (!places_of[at].contains(key)) continue;
        weakening.one = &place;
        weakening.order = order;
        if (models[at]->run() != 0) fails = models[at]->name;
        weakening.one = nullptr;
      }
      const std::string file(place.file);
      const std::string function(place.function);
      std::printf("%s\t%u\t%s\t%.*s\t%s\t%s\t%s\n", file.c_str(), place.line, function.c_str(),
                  static_cast<int>(place.operation.size()), place.operation.data(), explorer::name_of(place.order),
                  explorer::name_of(order), std::string(fails).c_str());
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace detail

inline int models_main(int count, char** words) {
  constexpr const char* usage =
      "usage: %s [--list] [--deep] [--weakened] [--orders] [NAME...]\n"
      "Runs the models, or those that are named; with --deep also those that take minutes. --weakened: with all memory "
      "orders relaxed, and locks that order nothing, which each must notice.\n"
      "--orders: weakens each order by one step, and says which model fails then.\n";
  std::vector<const RegisteredModel*> models;
  bool is_list = false;
  bool is_deep = false;
  bool is_weakened = false;
  bool is_orders = false;
  for (int at = 1; at < count; ++at) {
    const std::string_view word = words[at];
    if (word == "--help" || word == "-h") {
      std::printf(usage, words[0]);
      return 0;
    }
    if (word == "--list" || word == "--deep" || word == "--weakened" || word == "--orders") {
      (word == "--list" ? is_list : word == "--deep" ? is_deep : word == "--weakened" ? is_weakened : is_orders) = true;
      continue;
    }
    const std::size_t before = models.size();
    for (const RegisteredModel* model : RegisteredModel::all()) {
      if (model->name == word) models.push_back(model);
    }
    if (models.size() == before) {
      std::fprintf(stderr, "%s: no model '%s'; --list shows them\n", words[0], words[at]);
      return 2;
    }
  }
  if (models.empty()) {
    for (const RegisteredModel* model : RegisteredModel::all()) {
      if (is_deep || is_list || !model->is_deep) models.push_back(model);
    }
  }
  std::sort(models.begin(), models.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  if (is_list) {
    for (const RegisteredModel* model : models) std::puts(model->name.c_str());
    return 0;
  }
  if (is_orders) return detail::print_orders(models);
  explorer::Weakening::here().all = is_weakened;
  std::size_t wrong = 0;
  for (const RegisteredModel* model : models) {
    const bool passed = model->run() == 0;
    if (passed != is_weakened) continue;
    ++wrong;
    if (is_weakened) std::printf("model %s: it does not notice that all its orders are relaxed\n", model->name.c_str());
  }
  std::printf("models%s: %s  %zu of %zu\n", is_weakened ? ", weakened" : "", wrong == 0 ? "PASS" : "FAIL",
              models.size() - wrong, models.size());
  return wrong == 0 ? 0 : 1;
}

}  // namespace assay::testkit
