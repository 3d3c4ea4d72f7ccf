# Sanitizer flags hold for everything that is built here, so that all parts of a program agree.

set(clang FALSE)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(clang TRUE)
endif()

set(assay_sanitize_flags "")   # for all of our own code
set(assay_sanitize_shared "")  # the part that third-party code must be built with as well
set(assay_link_flags "")

if(ASSAY_SANITIZE)
  string(REPLACE "," ";" kinds "${ASSAY_SANITIZE}")
  list(APPEND assay_sanitize_flags -fno-omit-frame-pointer -fno-sanitize-recover=all)
  foreach(kind IN LISTS kinds)
    if(kind STREQUAL "address")
      list(APPEND assay_sanitize_shared -fsanitize=address)
      if(clang)
        # Not -asan-detect-invalid-pointer-pair: shared_ptr's owner_before in libstdc++ compares unrelated pointers.
        list(APPEND assay_sanitize_shared -fsanitize-address-use-after-return=always -fsanitize-address-use-after-scope)
      endif()
    elseif(kind STREQUAL "undefined")
      list(APPEND assay_sanitize_flags -fsanitize=undefined)
      if(clang)
        list(APPEND assay_sanitize_flags -fsanitize=function,local-bounds,nullability,float-divide-by-zero)
      endif()
    elseif(kind STREQUAL "thread")
      list(APPEND assay_sanitize_shared -fsanitize=thread)
    elseif(kind STREQUAL "memory")
      if(NOT clang OR NOT ASSAY_MSAN_LIBCXX)
        message(FATAL_ERROR "memory needs clang and ASSAY_MSAN_LIBCXX: sanitizer-scripts/msan sets both up")
      endif()
      list(APPEND assay_sanitize_shared -fsanitize=memory -fsanitize-memory-track-origins=2)
    elseif(kind MATCHES "^(realtime|type)$")
      if(NOT clang OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 20)
        message(FATAL_ERROR "${kind} needs clang 20 or later: sanitizer-scripts/rtsan and tysan bring clang 22")
      endif()
      list(APPEND assay_sanitize_shared -fsanitize=${kind})
    else()
      message(FATAL_ERROR "ASSAY_SANITIZE: '${kind}' is none of address, undefined, thread, memory, realtime, type")
    endif()
  endforeach()
endif()

# An instrumented standard library replaces the system's.
set(assay_libcxx "")
if(ASSAY_SANITIZE STREQUAL "memory")
  set(assay_libcxx ${ASSAY_MSAN_LIBCXX})
elseif(ASSAY_SANITIZE STREQUAL "thread")
  set(assay_libcxx ${ASSAY_TSAN_LIBCXX})
  if(clang AND NOT assay_libcxx)
    message(WARNING "without ASSAY_TSAN_LIBCXX an exception_ptr shared by threads looks like a race; sanitizer-scripts/tsan sets it up")
  endif()
endif()
if(assay_libcxx)
  if(NOT EXISTS ${assay_libcxx}/lib/libc++.a)
    message(FATAL_ERROR "no libc++ under ${assay_libcxx}")
  endif()
  list(APPEND assay_sanitize_shared -nostdinc++ -isystem ${assay_libcxx}/include/c++/v1)
  list(APPEND assay_link_flags -nostdlib++ -L${assay_libcxx}/lib)
  # The runtimes of thread and memory define operator new so that no program can replace it, as our allocation counter
  # does, in a half of their own that clang++ always links. So we link the other half by name. Allocations are still
  # seen, in malloc. The canaries of sanitizer-scripts show that the tools still report.
  set(runtime_of_thread tsan)
  set(runtime_of_memory msan)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libclang_rt.${runtime_of_${ASSAY_SANITIZE}}-x86_64.a
    OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT EXISTS ${runtime} OR NOT EXISTS ${runtime}.syms)
    message(FATAL_ERROR "no sanitizer runtime at ${runtime}: only x86-64 Linux is set up")
  endif()
  list(APPEND assay_link_flags -fno-sanitize-link-runtime
    -Wl,--whole-archive,${runtime},--no-whole-archive,--dynamic-list=${runtime}.syms)
  # Last on the command line. libFuzzer itself was built with libstdc++.
  set(CMAKE_CXX_STANDARD_LIBRARIES "-lc++ -lpthread -lm -lrt -ldl -lresolv")
  if(ASSAY_FUZZ_ENGINE)
    string(APPEND CMAKE_CXX_STANDARD_LIBRARIES " -lstdc++")
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL)
  # Checked standard libraries, except where speed is what is looked at.
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT ASSAY_HARDENING STREQUAL "fast")
    list(APPEND assay_sanitize_shared -D_GLIBCXX_ASSERTIONS)
    if(NOT assay_libcxx)  # these were built with the mode set
      list(APPEND assay_sanitize_shared -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_EXTENSIVE)
    endif()
  endif()
endif()

add_compile_options(${assay_sanitize_shared} ${assay_sanitize_flags})
add_link_options(${assay_sanitize_shared} ${assay_sanitize_flags} ${assay_link_flags})

if(clang AND PROJECT_IS_TOP_LEVEL)
  find_program(ASSAY_LLD NAMES ld.lld-19 ld.lld)
  if(ASSAY_LLD)
    add_link_options(--ld-path=${ASSAY_LLD})
  endif()
endif()
