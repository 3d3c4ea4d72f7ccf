// PinCell, PinRc and PinWeak against plain counters. The counters of the real ones are narrow, so that their limits are
// reached. The model knows which borrows, drops and copies would abort, and never allows them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "assay/pin.hpp"
#include "assay_testkit/ledger.hpp"
#include "assay_testkit/models/step.hpp"

namespace assay::testkit {

class PinModel {
 public:
  static constexpr std::size_t place_count = 6;
  static constexpr std::size_t guard_count = 5;
  static constexpr std::size_t max_objects = 16;
  static constexpr unsigned max_count = 255;

  enum Op : std::uint8_t {
    make,
    copy_strong,
    move_strong,
    drop_strong,
    downgrade,
    copy_weak,
    move_weak,
    drop_weak,
    upgrade,
    borrow,
    borrow_mut,
    move_guard,
    drop_guard,
    write,
    link,
    fill,
    unfill
  };
  static constexpr std::array<const char*, 17> names{
      "make",    "copy_strong", "move_strong", "drop_strong", "downgrade",  "copy_weak", "move_weak", "drop_weak", "upgrade",
      "borrow",  "borrow_mut",  "move_guard",  "drop_guard",  "write",      "link",      "fill",      "unfill"};

  explicit PinModel(std::uint8_t) {}

  using Object = std::uint8_t;
  struct Guard {
    Object object = 0;
    bool is_writer = false;
  };
  struct State {
    bool alive = false;
    int value = 0;
    unsigned strong = 0;
    unsigned weak = 0;  // PinWeaks, its own one included
    unsigned readers = 0;
    bool writer = false;
    std::optional<Object> next;
  };

  static std::size_t from(const Step& step) { return step.a % place_count; }
  static std::size_t to(const Step& step) { return step.b % place_count; }
  static std::size_t guard_from(const Step& step) { return step.a % guard_count; }
  static std::size_t guard_to(const Step& step) { return step.b % guard_count; }

  const State& state(Object object) const { return states.at(object); }

  bool allows(const Step& step) const {
    PinModel after = *this;
    return after.is_possible(step) && (after.apply(step), !after.aborted);
  }

  void apply(const Step& step) {
    auto& strong_from = strong.at(from(step));
    auto& strong_to = strong.at(to(step));
    auto& weak_from = weak.at(from(step));
    auto& weak_to = weak.at(to(step));
    switch (step.op) {
      case make:
        states.at(objects) = State{true, objects, 1, 1, 0, false, std::nullopt};
        assign_strong(strong_to, objects++, false);
        break;
      case copy_strong: assign_strong(strong_to, *strong_from, true); break;
      case move_strong: {
        const auto moved = std::exchange(strong_from, std::nullopt);
        if (moved) assign_strong(strong_to, *moved, false);
        break;
      }
      case drop_strong: release_strong(*std::exchange(strong_from, std::nullopt)); break;
      case downgrade: assign_weak(weak_to, *strong_from); break;
      case copy_weak: assign_weak(weak_to, *weak_from); break;
      case move_weak:
        if (from(step) == to(step)) break;
        if (weak_to) --states.at(*weak_to).weak;
        weak_to = std::exchange(weak_from, std::nullopt);
        break;
      case drop_weak: --states.at(*std::exchange(weak_from, std::nullopt)).weak; break;
      case upgrade: assign_strong(strong_to, *weak_from, true); break;
      case borrow:
      case borrow_mut: {
        State& target = states.at(*strong_from);
        aborted = aborted || target.writer || (step.op == borrow_mut && target.readers > 0);
        step.op == borrow ? static_cast<void>(++target.readers) : static_cast<void>(target.writer = true);
        guards.at(guard_to(step)) = Guard{*strong_from, step.op == borrow_mut};
        break;
      }
      case move_guard: guards.at(guard_to(step)) = std::exchange(guards.at(guard_from(step)), std::nullopt); break;
      case drop_guard: {
        const Guard gone = *std::exchange(guards.at(guard_from(step)), std::nullopt);
        gone.is_writer ? static_cast<void>(states.at(gone.object).writer = false)
                       : static_cast<void>(--states.at(gone.object).readers);
        break;
      }
      case write: states.at(guards.at(guard_from(step))->object).value = step.c; break;
      case link: {
        State& target = states.at(*strong_from);
        aborted = aborted || target.writer || target.readers > 0;
        // The new one is held before the old one is released, which may destroy much.
        add_strong(*strong_to);
        const auto old = std::exchange(target.next, strong_to);
        target.writer = true;
        if (old) release_strong(*old);
        target.writer = false;
        break;
      }
      case fill:
        filled = *strong_from;
        filled_strong = max_count - states.at(*strong_from).strong;
        filled_weak = max_count - 1 - states.at(*strong_from).weak;
        states.at(*strong_from).strong = max_count;
        states.at(*strong_from).weak = max_count - 1;
        break;
      default: {
        const Object object = *std::exchange(filled, std::nullopt);
        states.at(object).weak -= filled_weak;
        for (unsigned i = 0; i < filled_strong; ++i) release_strong(object);
        break;
      }
    }
  }

  std::array<State, max_objects> states{};
  std::array<std::optional<Object>, place_count> strong{};
  std::array<std::optional<Object>, place_count> weak{};
  std::array<std::optional<Guard>, guard_count> guards{};
  std::optional<Object> filled;
  unsigned filled_strong = 0;
  unsigned filled_weak = 0;
  Object objects = 0;

 private:
  bool is_possible(const Step& step) const {
    const bool has_strong = strong.at(from(step)).has_value();
    const bool has_weak = weak.at(from(step)).has_value();
    const auto& guard = guards.at(guard_from(step));
    switch (step.op) {
      case make: return objects < max_objects;
      case copy_strong:
      case drop_strong:
      case downgrade: return has_strong;
      case copy_weak:
      case drop_weak: return has_weak;
      case upgrade: return has_weak && state(*weak.at(from(step))).alive;
      case borrow:
      case borrow_mut: return has_strong && !guards.at(guard_to(step));
      case move_guard: return guard && !guards.at(guard_to(step));
      case drop_guard: return guard.has_value();
      case write: return guard && guard->is_writer;
      // Only towards younger objects: no cycle, which would leak.
      case link: return has_strong && strong.at(to(step)) && *strong.at(from(step)) < *strong.at(to(step));
      case fill: return has_strong && !filled;
      case unfill: return filled.has_value();
      default: return true;
    }
  }

  void add_strong(Object object) {
    aborted = aborted || states.at(object).strong >= max_count;
    ++states.at(object).strong;
  }
  void assign_strong(std::optional<Object>& place, Object object, bool counted) {
    if (counted) add_strong(object);
    const auto old = std::exchange(place, object);
    if (old) release_strong(*old);
  }
  void assign_weak(std::optional<Object>& place, Object object) {
    // One of the 255 stands for all PinRcs together.
    aborted = aborted || states.at(object).weak + (states.at(object).alive ? 1 : 0) >= max_count;
    ++states.at(object).weak;
    const auto old = std::exchange(place, object);
    if (old) --states.at(*old).weak;
  }
  void release_strong(Object object) {
    State& target = states.at(object);
    if (--target.strong != 0) return;
    aborted = aborted || target.writer || target.readers > 0;
    target.alive = false;
    --target.weak;
    const auto next = std::exchange(target.next, std::nullopt);
    if (next) release_strong(*next);
  }

  bool aborted = false;
};

class PinSystem {
 public:
  PinSystem(Ledger& ledger, const PinModel&) : ledger_(ledger) {}
  ~PinSystem() {
    for (auto& guard : guards_) guard = Guard{};
    if (broken_) ++ledger_.values_made;  // never balanced
  }
  PinSystem(const PinSystem&) = delete;
  PinSystem& operator=(const PinSystem&) = delete;

  void run(const Step& step, const PinModel& model) {
    auto& strong_from = strong_.at(PinModel::from(step));
    auto& strong_to = strong_.at(PinModel::to(step));
    auto& weak_from = weak_.at(PinModel::from(step));
    auto& weak_to = weak_.at(PinModel::to(step));
    switch (step.op) {
      case PinModel::make: {
        Rc made = Rc::make(std::in_place, *this, model.objects - 1);
        made->borrow_mut()->self = Weak(made);
        strong_to = std::move(made);
        break;
      }
      case PinModel::copy_strong: strong_to = strong_from; break;
      case PinModel::move_strong:
        if (&strong_from != &strong_to && strong_from) {
          strong_to = std::move(*strong_from);
          strong_from.reset();
        }
        break;
      case PinModel::drop_strong: strong_from.reset(); break;
      case PinModel::downgrade: weak_to = Weak(*strong_from); break;
      case PinModel::copy_weak: weak_to = weak_from; break;
      case PinModel::move_weak:
        if (&weak_from != &weak_to) weak_to = std::exchange(weak_from, Weak());
        break;
      case PinModel::drop_weak: weak_from = Weak(); break;
      case PinModel::upgrade: strong_to = weak_from.upgrade(); break;
      case PinModel::borrow: guards_.at(PinModel::guard_to(step)).reader.emplace((*strong_from)->borrow()); break;
      case PinModel::borrow_mut: guards_.at(PinModel::guard_to(step)).writer.emplace((*strong_from)->borrow_mut()); break;
      case PinModel::move_guard: {
        Guard& source = guards_.at(PinModel::guard_from(step));
        Guard& target = guards_.at(PinModel::guard_to(step));
        if (source.reader) target.reader.emplace(std::move(*source.reader));
        if (source.writer) target.writer.emplace(std::move(*source.writer));
        source = Guard{};
        break;
      }
      case PinModel::drop_guard: guards_.at(PinModel::guard_from(step)) = Guard{}; break;
      case PinModel::write: (*guards_.at(PinModel::guard_from(step)).writer)->value = step.c; break;
      case PinModel::link: (*strong_from)->borrow_mut()->next = *strong_to; break;
      case PinModel::fill:
        for (unsigned i = 0; i < model.filled_strong; ++i) filled_.push_back(*strong_from);
        for (unsigned i = 0; i < model.filled_weak; ++i) filled_weak_.emplace_back(*strong_from);
        break;
      default:
        filled_weak_.clear();
        filled_.clear();
        break;
    }
  }

  void compare(const PinModel& model) const {
    expect(!broken_, "an object's own PinWeak found it alive in its destructor");
    unsigned alive = 0;
    for (const auto& state : model.states) alive += state.alive ? 1 : 0;
    expect(ledger_.values_alive() == alive, "which objects are alive");
    for (std::size_t place = 0; place < PinModel::place_count; ++place) {
      compare_strong(place, model);
      const auto& weak = model.weak.at(place);
      expect(weak_.at(place).expired() == !(weak && model.state(*weak).alive), "expired()");
    }
    for (std::size_t guard = 0; guard < PinModel::guard_count; ++guard) {
      const auto& expected = model.guards.at(guard);
      const Guard& mine = guards_.at(guard);
      expect(expected.has_value() == (mine.reader || mine.writer), "which guards are held");
      if (!expected) continue;
      const int value = expected->is_writer ? (*mine.writer)->value : (*mine.reader)->value;
      expect(value == model.state(expected->object).value, "the value that a guard shows");
    }
  }

 private:
  struct Node;
  using Cell = PinCell<Node, std::int8_t>;
  using Rc = PinRc<Cell, std::uint8_t>;
  using Weak = PinWeak<Cell, std::uint8_t>;

  struct Node {
    Node(PinSystem& owner, int number) : system(owner), id(number), value(number) { ++system.ledger_.values_made; }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    ~Node() {
      if (!self.expired()) system.broken_ = true;
      const Weak copy = self;  // allowed in the destructor, and keeps the block
      ++system.ledger_.values_destroyed;
    }
    PinSystem& system;
    int id;
    int value;
    Weak self;
    std::optional<Rc> next;
  };

  struct Guard {
    Guard() = default;
    Guard(Guard&&) = default;
    Guard& operator=(Guard&&) noexcept {  // only ever assigned an empty one
      reader.reset();
      writer.reset();
      return *this;
    }
    std::optional<typename Cell::Reader> reader;
    std::optional<typename Cell::Writer> writer;
  };

  void compare_strong(std::size_t place, const PinModel& model) const {
    const auto& expected = model.strong.at(place);
    const auto& mine = strong_.at(place);
    expect(mine.has_value() == expected.has_value(), "which places are full");
    if (!mine) return;
    const PinModel::State& state = model.state(*expected);
    const Rc& rc = *mine;
    rc.check_deep();
    rc->check_deep();
    expect(rc.strong_count() == state.strong, "strong_count()");
    expect(rc.weak_count() == state.weak, "weak_count()");
    expect(rc->is_borrowed() == (state.writer || state.readers > 0), "is_borrowed()");
    expect(rc->is_borrowed_mut() == state.writer, "is_borrowed_mut()");
    if (state.writer) return;
    const auto reader = rc->borrow();
    expect(reader->id == *expected && reader->value == state.value, "the object and its value");
    expect(reader->next.has_value() == state.next.has_value(), "the link");
  }

  Ledger& ledger_;
  bool broken_ = false;
  std::array<std::optional<Rc>, PinModel::place_count> strong_{};
  std::array<Weak, PinModel::place_count> weak_{};
  std::vector<Rc> filled_;
  std::vector<Weak> filled_weak_;
  std::array<Guard, PinModel::guard_count> guards_{};  // the last member: guards go first
};

}  // namespace assay::testkit
