// Two places for a PinRc, two for a PinWeak, two for guards.
#include "assay_testkit/enumerate.hpp"
#include "assay_testkit/models/pin.hpp"

using namespace assay::testkit;

namespace {

constexpr std::uint8_t places = 2;

// Objects by their age among those that can be reached: nothing else of their numbers matters.
std::string key_of(const PinModel& model) {
  std::vector<PinModel::Object> known;
  const auto meet = [&](const auto& object) {
    if (object && std::find(known.begin(), known.end(), *object) == known.end()) known.push_back(*object);
  };
  for (std::uint8_t place = 0; place < places; ++place) {
    meet(model.strong.at(place));
    meet(model.weak.at(place));
    if (model.guards.at(place)) meet(std::optional(model.guards.at(place)->object));
  }
  meet(model.filled);
  for (std::size_t at = 0; at < known.size(); ++at) meet(model.states.at(known.at(at)).next);  // grows meanwhile
  std::sort(known.begin(), known.end());
  const auto name = [&](const auto& object) {
    return object ? std::to_string(std::find(known.begin(), known.end(), *object) - known.begin()) : std::string("-");
  };
  std::string key;
  for (std::uint8_t place = 0; place < places; ++place) {
    const auto& guard = model.guards.at(place);
    key += name(model.strong.at(place)) + name(model.weak.at(place));
    key += guard ? name(std::optional(guard->object)) + (guard->is_writer ? "w" : "r") : "-";
  }
  key += name(model.filled);
  for (const PinModel::Object object : known) {
    const PinModel::State& state = model.states.at(object);
    key += (state.alive ? " a" : " d") + std::to_string(state.strong) + "," + std::to_string(state.weak) + "," + name(state.next);
    key += std::to_string(state.readers) + (state.writer ? "w" : "-") + (state.value == 7 ? "7" : "-");
  }
  return key;
}

Scope<PinModel> scope_of(const std::string& name, unsigned depth, bool prune) {
  Scope<PinModel> scope;
  scope.name = name;
  scope.depth = depth;
  scope.prune = prune;
  scope.key = key_of;
  const auto add = [&](std::uint8_t what, std::uint8_t from, std::uint8_t to) {
    const std::string words = std::string(" ") + std::to_string(from) + " " + std::to_string(to);
    scope.operations.push_back({PinModel::names.at(what) + words, {Step{what, from, to, 7}}, [](const PinModel& model) {
                                  return model.objects < PinModel::max_objects;
                                }});
  };
  for (std::uint8_t from = 0; from < places; ++from) {
    add(PinModel::make, 0, from);
    for (std::uint8_t to = 0; to < places; ++to) {
      for (const std::uint8_t what : {PinModel::copy_strong, PinModel::move_strong, PinModel::downgrade, PinModel::copy_weak,
                                      PinModel::move_weak, PinModel::upgrade, PinModel::borrow, PinModel::borrow_mut}) {
        add(what, from, to);
      }
      if (from == to) continue;
      add(PinModel::move_guard, from, to);
      add(PinModel::link, from, to);
    }
    for (const std::uint8_t what : {PinModel::drop_strong, PinModel::drop_weak, PinModel::drop_guard, PinModel::write, PinModel::fill}) {
      add(what, from, 0);
    }
  }
  add(PinModel::unfill, 0, 0);
  return scope;
}

}  // namespace

int main(int count, char** words) {
  return scope_main<PinModel, PinSystem>(count, words, {scope_of("pin", 6, false), scope_of("pin, by states", 10, true)});
}
