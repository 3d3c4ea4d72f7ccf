# Catch2::Catch2WithMain and rapidcheck.
#
# On Debian the sources come from the machine's own archive (ci/fetch-test-sources, pinned by checksum) and each is built
# as one translation unit, three to five times faster than file by file. The result depends only on compiler and flags,
# so it is kept in a cache outside the checkout and shared by all build trees. Elsewhere: FetchContent, pinned tags.

set(cache $ENV{ASSAY_CACHE})
if(NOT cache)
  set(cache $ENV{XDG_CACHE_HOME})
  if(NOT cache)
    set(cache $ENV{HOME}/.cache)
  endif()
  string(APPEND cache /assay)
endif()
set(catch2_source ${cache}/src/catch2-3.7.1)
set(rapidcheck_source ${cache}/src/rapidcheck-a5724ea)

find_program(ASSAY_APT_GET apt-get)
if(ASSAY_APT_GET AND (NOT EXISTS ${catch2_source} OR NOT EXISTS ${rapidcheck_source}))
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/ci/fetch-test-sources RESULT_VARIABLE failed)
  if(failed)
    message(WARNING "ci/fetch-test-sources failed, trying FetchContent")
  endif()
endif()

if(NOT EXISTS ${catch2_source} OR NOT EXISTS ${rapidcheck_source})
  include(FetchContent)
  set(RC_ENABLE_CATCH ON)
  FetchContent_Declare(Catch2 GIT_REPOSITORY https://github.com/catchorg/Catch2.git GIT_TAG v3.7.1 SYSTEM)
  FetchContent_Declare(rapidcheck GIT_REPOSITORY https://github.com/emil-e/rapidcheck.git
    GIT_TAG a5724ea5b0b00147109b0605c377f1e54c353ba2 SYSTEM)
  FetchContent_MakeAvailable(Catch2 rapidcheck)
  target_link_libraries(rapidcheck INTERFACE rapidcheck_catch)
  return()
endif()

# assay_cached_library(NAME target SOURCE file INCLUDES folder...)
function(assay_cached_library)
  cmake_parse_arguments(arg "" "NAME;SOURCE" "INCLUDES" ${ARGN})
  separate_arguments(callers UNIX_COMMAND "${CMAKE_CXX_FLAGS}")  # -stdlib=libc++, say
  list(FILTER callers EXCLUDE REGEX "^-g")
  set(flags ${assay_sanitize_shared} ${callers} -std=c++20 -O1 -g1 -gdwarf-4 -w)
  set(include_flags ${arg_INCLUDES})
  list(TRANSFORM include_flags PREPEND -I)
  file(SHA256 ${arg_SOURCE} source_hash)
  string(SHA256 key "${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} ${flags} ${arg_INCLUDES} ${source_hash}")
  string(SUBSTRING ${key} 0 16 key)
  string(MAKE_C_IDENTIFIER ${arg_NAME} file)
  set(folder ${cache}/lib/${key})
  set(archive ${folder}/lib${file}.a)
  file(MAKE_DIRECTORY ${folder})
  add_library(${arg_NAME} STATIC IMPORTED GLOBAL)
  set_target_properties(${arg_NAME} PROPERTIES IMPORTED_LOCATION ${archive} INTERFACE_INCLUDE_DIRECTORIES "${arg_INCLUDES}")
  if(EXISTS ${archive})  # without a rule: Ninja would rebuild what another tree made
    return()
  endif()
  # Two trees may build the same library at the same time: each writes its own file and renames it into place.
  string(RANDOM unique)
  set(scratch ${folder}/${unique})
  add_custom_command(OUTPUT ${archive}
    COMMAND ${CMAKE_CXX_COMPILER} ${flags} ${include_flags} -c ${arg_SOURCE} -o ${scratch}.o
    COMMAND ${CMAKE_AR} rcs ${scratch}.a ${scratch}.o
    COMMAND ${CMAKE_COMMAND} -E rename ${scratch}.a ${archive}
    COMMAND ${CMAKE_COMMAND} -E rm ${scratch}.o
    COMMENT "Building ${arg_NAME} once for these flags"
    VERBATIM)
  add_custom_target(build_${file} DEPENDS ${archive})
  add_dependencies(${arg_NAME} build_${file})
endfunction()

# The amalgamated Catch2 has its configuration inside; the separate headers look for this file. All defaults.
file(WRITE ${PROJECT_BINARY_DIR}/catch2/catch2/catch_user_config.hpp.new "#pragma once\n")
file(COPY_FILE ${PROJECT_BINARY_DIR}/catch2/catch2/catch_user_config.hpp.new
  ${PROJECT_BINARY_DIR}/catch2/catch2/catch_user_config.hpp ONLY_IF_DIFFERENT)
assay_cached_library(NAME Catch2::Catch2WithMain SOURCE ${catch2_source}/extras/catch_amalgamated.cpp INCLUDES ${catch2_source}/extras)
set_property(TARGET Catch2::Catch2WithMain PROPERTY INTERFACE_INCLUDE_DIRECTORIES
  ${catch2_source}/src ${PROJECT_BINARY_DIR}/catch2)

file(GLOB_RECURSE parts ${rapidcheck_source}/src/*.cpp)
set(all "")
foreach(part IN LISTS parts)
  string(APPEND all "#include \"${part}\"\n")
endforeach()
file(CONFIGURE OUTPUT ${cache}/src/rapidcheck_all.cpp CONTENT "${all}" @ONLY)
assay_cached_library(NAME rapidcheck SOURCE ${cache}/src/rapidcheck_all.cpp INCLUDES ${rapidcheck_source}/include)
set_property(TARGET rapidcheck APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${rapidcheck_source}/extras/catch/include)
