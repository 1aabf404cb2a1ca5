# SPDX-License-Identifier: Apache-2.0
# Target llama::llama (llama.h, ggml.h, gguf.h and the shared libraries). Looked for in this order:
#   -DLLAMA_ROOT=<prefix>, an installed CMake package `llama`, the build that `./dev setup` keeps.
# Llama_RUNTIME_LIBRARIES: files a plugin carries along; empty when the system has them installed.
if(TARGET llama::llama)
  return()
endif()

set(_root ${LLAMA_ROOT})
if(NOT _root)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
  find_package(llama 0.5 CONFIG QUIET)
  unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
  if(llama_FOUND)
    add_library(llama::llama INTERFACE IMPORTED GLOBAL)
    target_link_libraries(llama::llama INTERFACE llama ggml::ggml)
    set(Llama_RUNTIME_LIBRARIES "" CACHE INTERNAL "")
    set(Llama_FOUND TRUE)
    return()
  endif()
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup/llama.sh prefix
    OUTPUT_VARIABLE _root OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()

# Not cached: the prefix changes with the version and the flags.
find_path(Llama_INCLUDE_DIR llama.h PATHS ${_root}/include NO_DEFAULT_PATH NO_CACHE)
set(_libraries)
foreach(_name llama ggml ggml-cpu ggml-base)
  unset(_file)
  find_library(_file ${_name} PATHS ${_root}/lib NO_DEFAULT_PATH NO_CACHE)
  if(_file)
    list(APPEND _libraries ${_file})
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llama REQUIRED_VARS Llama_INCLUDE_DIR _libraries
  REASON_FAILURE_MESSAGE "run ./dev setup, or pass -DLLAMA_ROOT=<prefix of an installed llama.cpp>")
if(Llama_FOUND)
  add_library(llama::llama INTERFACE IMPORTED GLOBAL)
  target_include_directories(llama::llama INTERFACE ${Llama_INCLUDE_DIR})
  target_link_libraries(llama::llama INTERFACE ${_libraries})
  set(Llama_RUNTIME_LIBRARIES ${_libraries} CACHE INTERNAL "")
endif()
