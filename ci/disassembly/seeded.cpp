// What ci/checks/disassembly must find and must not: it reads this program before it reads the runtime.
#include <atomic>
#include <cstdio>

#define NOINLINE __attribute__((noinline))

std::atomic<long> word;
long plain;

namespace {
NOINLINE void deep_add() { word.fetch_add(1, std::memory_order_relaxed); }
NOINLINE void middle() {
  deep_add();
  plain += 2;
}
NOINLINE void by_table() { word.fetch_or(4, std::memory_order_release); }
NOINLINE void by_pointer() { word.fetch_and(8, std::memory_order_release); }
NOINLINE void other_thread_push() { word.fetch_add(16); }
__attribute__((always_inline)) inline void inlined_other_thread() { word.fetch_add(64); }

struct Table {
  void (*wake)();
};
const Table table{by_table};
struct Interface {
  virtual void act() = 0;
  virtual ~Interface() = default;
};
struct Locked final : Interface {
  void act() override { word.fetch_xor(32); }
};
}  // namespace

void (*volatile chosen)();
const Table* volatile in_use;
Interface* volatile object;

extern "C" {
NOINLINE void probe_clean() {
  plain += word.load(std::memory_order_acquire);
  word.store(plain, std::memory_order_release);
}
NOINLINE void probe_direct() { middle(); plain += 1; }
NOINLINE void probe_tail_call() { middle(); }
NOINLINE void probe_exchange() { plain += word.exchange(3, std::memory_order_acq_rel); }
NOINLINE void probe_store() { word.store(3, std::memory_order_seq_cst); }
NOINLINE void probe_compare() {
  long expected = 3;
  word.compare_exchange_weak(expected, 4);
}
NOINLINE void probe_pointer() {
  chosen = by_pointer;
  chosen();
}
NOINLINE void probe_table() {
  in_use = &table;
  in_use->wake();
}
NOINLINE void probe_virtual() {
  static Locked locked;
  object = &locked;
  object->act();
}
NOINLINE void probe_branch() {
  if (plain == 12345) middle();
}
NOINLINE void probe_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
NOINLINE void probe_other_thread() {
  other_thread_push();
  inlined_other_thread();
}
NOINLINE void never_called() { word.fetch_add(128); }
}

int main() {
  probe_clean();
  probe_direct();
  probe_tail_call();
  probe_exchange();
  probe_store();
  probe_compare();
  probe_pointer();
  probe_table();
  probe_virtual();
  probe_branch();
  probe_fence();
  probe_other_thread();
  return plain == 0;
}
