// AddressSanitizer's defaults for fuzzing; what ASAN_OPTIONS says comes on top.
//
// What is freed stays in quarantine, where a use of it is reported. The default of 256 MB makes each allocation touch memory
// that is in no cache, and often a page that the system has to bring first. An input frees far less than 4 MB before it ends.
// For the same reason freed pages are not given back to the system: the next input needs them again.
//
// Each allocation and each free notes four frames: who needs more repeats the input with ASAN_OPTIONS=malloc_context_size=30.
//
// After each exception AddressSanitizer goes through the whole fake stack: 1 MB for each size of frame, unless told otherwise.
// With 256 KB, all the same is found until a recursion is thousands of frames deep.

extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=4:allocator_release_to_os_interval_ms=-1:malloc_context_size=4:max_uar_stack_size_log=18";
}
