// expect: unsafe-library-call
// An allocation in a function that promises none.
[[gnu::noinline]] int* make() { return new int(1); }

int main() {
  int* volatile kept = nullptr;
  const auto work = [&]() [[clang::nonblocking]] { kept = make(); };
  work();
  delete kept;
}
