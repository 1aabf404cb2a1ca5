# SPDX-License-Identifier: Apache-2.0
# How this project declares its parts: one static library, one test program and at most one benchmark program a folder.

option(MLOS_BUILD_TESTS "Build the unit tests" ON)
option(MLOS_BUILD_BENCHMARKS "Build the micro-benchmarks" OFF)
option(MLOS_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(MLOS_WERROR "Treat warnings as errors" ON)
option(MLOS_COVERAGE "Count the lines the tests run" OFF)
set(MLOS_SANITIZE "" CACHE STRING "Value for -fsanitize=, for example address,undefined")

# Off where every file must stand by itself (clang-tidy, fuzzing).
option(MLOS_PCH "Precompile the standard library's and GoogleTest's headers" ON)

find_program(MLOS_CCACHE ccache)
if(MLOS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${MLOS_CCACHE})
  # ccache caches a compilation with a precompiled header only when told so; it takes the header's identity from the .sum
  # file written below, and paths relative to the tree, so that several clones on one machine share results.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${MLOS_CCACHE})
endif()
find_program(MLOS_MOLD mold)
if(MLOS_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# A library that a program does not use need not be loaded.
add_link_options(-Wl,--as-needed)

add_library(mlos_options INTERFACE)
target_include_directories(mlos_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_options(mlos_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
# GCC 12 sees overlapping and oversized copies in std::string and unset members in std::optional where there are
# none (its bugs 105651 and 80635), more so at -O1; clang-tidy looks for the real ones.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(mlos_options INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
    -Wno-maybe-uninitialized)
endif()
if(MLOS_WERROR)
  target_compile_options(mlos_options INTERFACE -Werror)
endif()
if(MLOS_SANITIZE)
  add_compile_options(-fsanitize=${MLOS_SANITIZE} -fno-omit-frame-pointer)
  if(MLOS_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Boost's fences, which the thread sanitizer does not see
  endif()
  add_link_options(-fsanitize=${MLOS_SANITIZE})
endif()

if(MLOS_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
if(MLOS_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # libstdc++'s std::stable_sort calls what it declares deprecated, and clang tells it of every use.
  target_compile_options(mlos_options INTERFACE -Wthread-safety -Wno-deprecated-declarations)
endif()

find_package(Threads REQUIRED)
if(MLOS_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

# Test programs are compiled more often than they run; what they test is optimised all the same.
function(mlos_test_options target)
  if(CMAKE_BUILD_TYPE STREQUAL Release)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# Two precompiled headers, shared by all folders: one for the libraries, one for the test programs. They only save time:
# a source file includes what it uses (the tidy and fuzz presets build without them).
if(MLOS_PCH)
  file(WRITE ${CMAKE_BINARY_DIR}/pch/empty.cc "int main() { return 0; }\n")
  set(std_headers <algorithm> <array> <atomic> <chrono> <cstdint> <filesystem> <functional> <map> <memory> <mutex>
    <optional> <span> <string> <string_view> <thread> <unordered_map> <variant> <vector>)
  add_library(mlos_library_pch STATIC EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/empty.cc)
  target_precompile_headers(mlos_library_pch PRIVATE ${std_headers})
  target_link_libraries(mlos_library_pch PRIVATE mlos_options)
  if(MLOS_BUILD_TESTS)
    add_executable(mlos_test_pch EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/empty.cc)
    target_precompile_headers(mlos_test_pch PRIVATE ${std_headers} <gmock/gmock.h> <gtest/gtest.h>)
    target_link_libraries(mlos_test_pch PRIVATE mlos_options GTest::gtest GTest::gmock)
    mlos_test_options(mlos_test_pch)
  endif()
endif()

# What a precompiled header depends on, in place of the file itself, which differs between clones.
function(mlos_pch_identity target)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} --version OUTPUT_VARIABLE compiler)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libstdc++.so.6 OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
  file(SHA256 ${runtime} runtime)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  get_target_property(headers ${target} PRECOMPILE_HEADERS)
  get_target_property(options mlos_options INTERFACE_COMPILE_OPTIONS)
  set(identity "${compiler};${runtime};${GTest_VERSION};${headers};${options};${CMAKE_CXX_FLAGS};${CMAKE_CXX_FLAGS_${type}}")
  string(APPEND identity ";${MLOS_SANITIZE};${MLOS_COVERAGE}")
  string(SHA256 identity "${identity}")
  set(file ${CMAKE_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.gch.sum)
  file(CONFIGURE OUTPUT ${file} CONTENT ${identity})
endfunction()
if(MLOS_PCH)
  mlos_pch_identity(mlos_library_pch)
  if(MLOS_BUILD_TESTS)
    mlos_pch_identity(mlos_test_pch)
  endif()
endif()

function(mlos_use_pch target pch)
  if(MLOS_PCH)
    target_precompile_headers(${target} REUSE_FROM ${pch})
    # A target whose options differ (another -D that a header asks for) compiles without it: slower, not wrong.
    set_target_properties(${target} PROPERTIES PCH_WARN_INVALID OFF)
  endif()
endfunction()

# mlos_library(NAME SRCS a.cc ... [DEPS mlos_base ...]): the static library of one folder.
function(mlos_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  target_link_libraries(${name} PUBLIC mlos_options Threads::Threads ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  mlos_use_pch(${name} mlos_library_pch)
endfunction()

# mlos_test(NAME SRCS a_test.cc ... [DEPS ...] [ENV VAR=value ...]): the GoogleTest program of one folder.
function(mlos_test name)
  if(NOT MLOS_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;ENV" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE mlos_options ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE MLOS_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MLOS_BINARY_DIR="${CMAKE_BINARY_DIR}")
  mlos_test_options(${name})
  mlos_use_pch(${name} mlos_test_pch)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ARG_ENV}" TIMEOUT 300)
endfunction()

# mlos_plugin(NAME SRCS ... [DEPS ...] [CARRIES file.so ...]): an SMI plugin, <build>/bin/plugins/libmlos_<name>.so. Sees
# include/ only, never src/. Shared libraries it CARRIES are copied to <build>/bin/plugins/lib, where it looks for them first,
# so that the bin folder runs in place and can be moved as a whole.
function(mlos_plugin name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;CARRIES" ${ARGN})
  add_library(mlos_plugin_${name} MODULE ${ARG_SRCS})
  set_target_properties(mlos_plugin_${name} PROPERTIES
    OUTPUT_NAME mlos_${name} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/plugins
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(mlos_plugin_${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_options(mlos_plugin_${name} PRIVATE -Wall -Wextra $<$<BOOL:${MLOS_WERROR}>:-Werror>)
  target_link_libraries(mlos_plugin_${name} PRIVATE Threads::Threads ${ARG_DEPS})
  # clang keeps the sanitizer runtime in the program, so its symbols are undefined in a plugin.
  if(NOT (MLOS_SANITIZE AND CMAKE_CXX_COMPILER_ID MATCHES Clang))
    target_link_options(mlos_plugin_${name} PRIVATE -Wl,--no-undefined)
  endif()
  if(ARG_CARRIES)
    set_target_properties(mlos_plugin_${name} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/lib")
    mlos_carry(mlos_plugin_${name} ${ARG_CARRIES})
  endif()
endfunction()

# Copies shared libraries to <build>/bin/plugins/lib under the names the loader asks for (their SONAMEs).
function(mlos_carry target)
  set(copies)
  foreach(file IN LISTS ARGN)
    file(REAL_PATH ${file} real)
    execute_process(COMMAND readelf -d ${real} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH "SONAME[^[]*\\[([^]]+)\\]" _ "${dynamic}")
    set(copy ${CMAKE_BINARY_DIR}/bin/plugins/lib/${CMAKE_MATCH_1})
    add_custom_command(OUTPUT ${copy} DEPENDS ${real} VERBATIM
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/bin/plugins/lib
      COMMAND ${CMAKE_COMMAND} -E copy ${real} ${copy})
    list(APPEND copies ${copy})
  endforeach()
  add_custom_target(${target}_carried ALL DEPENDS ${copies})
  add_dependencies(${target} ${target}_carried)
endfunction()

# mlos_benchmark(NAME SRCS a_benchmark.cc ... [DEPS ...]): the Google Benchmark program of one folder.
function(mlos_benchmark name)
  if(NOT MLOS_BUILD_BENCHMARKS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  find_package(benchmark REQUIRED)
  add_executable(${name} ${ARG_SRCS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/benchmarks)
  target_link_libraries(${name} PRIVATE mlos_options ${ARG_DEPS} benchmark::benchmark benchmark::benchmark_main)
endfunction()

# mlos_fuzzer(NAME SRCS a_fuzz.cc ... [DEPS ...]): a libFuzzer target `fuzz_<name>` with its seeds in fuzz/corpus/<name>. In
# builds without libFuzzer it becomes a test `fuzz_<name>` that runs the target over the seeds, over what truncation and
# single-byte damage make of them, and over the empty input.
function(mlos_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(MLOS_BUILD_FUZZERS)
    add_executable(fuzz_${name} ${ARG_SRCS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers fuzz_${name})
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  elseif(MLOS_BUILD_TESTS)
    add_executable(fuzz_${name} ${ARG_SRCS} ${CMAKE_SOURCE_DIR}/fuzz/replay_main.cc)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${CMAKE_SOURCE_DIR}/fuzz/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300)
  else()
    return()
  endif()
  target_link_libraries(fuzz_${name} PRIVATE mlos_options ${ARG_DEPS})
endfunction()
