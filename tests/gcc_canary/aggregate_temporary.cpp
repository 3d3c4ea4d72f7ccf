// An aggregate with a member that has a destructor, made inside the full-expression of a co_await.
#include "task.hpp"

struct Aggregate {
  Counted counted;
  int number = 0;
};

Task<int> take(Aggregate given) { co_return given.number; }

#ifdef WORKAROUND
Task<int> body() {
  Aggregate aggregate{Counted(), 1};
  const int result = co_await take(std::move(aggregate));
  co_return result;
}
#else
Task<int> body() {
  const int result = co_await take(Aggregate{Counted(), 1});
  co_return result;
}
#endif

int main() {
  if (body().run() != 1) return 2;
  return lives_balance();
}
