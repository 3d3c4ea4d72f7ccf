# ASSAY_COVERAGE: what `ci/coverage` builds. Counts lines, branches and conditions of audited/, and of nothing else.

if(ASSAY_COVERAGE)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    message(FATAL_ERROR "ASSAY_COVERAGE needs clang 19")
  endif()
  # Atomic, so that threads lose no count to each other.
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -fprofile-update=atomic
    -fprofile-list=${PROJECT_SOURCE_DIR}/ci/coverage_parts/audited.list)
  add_link_options(-fprofile-instr-generate)
endif()

# A program of ours writes its counters however it ends.
function(assay_cover_program target)
  get_target_property(type ${target} TYPE)
  if(ASSAY_COVERAGE AND type STREQUAL "EXECUTABLE")
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/ci/coverage_parts/write_profile.cpp)
  endif()
endfunction()
