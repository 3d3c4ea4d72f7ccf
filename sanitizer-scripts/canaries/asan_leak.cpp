// expect: LeakSanitizer: detected memory leaks
// A block that nothing points to at exit.

int main() {
  int* volatile number = new int(1);
  number = nullptr;
}
