# Warnings, for code that is ours; never for what we include from others, nor for those who include us.

set(assay_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND assay_warnings -Wthread-safety -Wdangling)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 22)
    list(APPEND assay_warnings -Wno-c2y-extensions)  # __COUNTER__, in Catch2's macros
  endif()
else()
  # g++ 12 takes members that a constructor sets for uninitialised where a coroutine's frame is involved (seen in
  # tests/sync_mutex.cpp, members with initialisers); MemorySanitizer and Valgrind look for the real ones.
  list(APPEND assay_warnings -Wno-maybe-uninitialized)
endif()

function(assay_own_code target)
  target_compile_options(${target} PRIVATE ${assay_warnings} $<$<BOOL:${ASSAY_WERROR}>:-Werror>)
  assay_cover_program(${target})
endfunction()

# Unsigned wrap-around and lossy conversions are legal C++, and libstdc++, Catch2 and RapidCheck rely on them in inline
# code. These checks are therefore for translation units that include only assay itself: the libraries and the
# examples. What tests instantiate from our headers is under -Wconversion instead.
function(assay_integer_checks target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND ASSAY_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fsanitize=integer,implicit-conversion)
  endif()
endfunction()
