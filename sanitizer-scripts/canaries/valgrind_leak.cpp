// expect: 400 bytes in 1 blocks are definitely lost

int main() {
  int* volatile numbers = new int[100];
  numbers = nullptr;
}
