# SPDX-License-Identifier: Apache-2.0
# Target llama::jinja: llama.cpp's Jinja engine (jinja/parser.h, jinja/runtime.h), static; -DLLAMA_JINJA_ROOT=<prefix> or the
# build that `./dev setup` keeps. It needs ggml-base at link time, which llama::llama brings.
if(TARGET llama::jinja)
  return()
endif()

set(_root ${LLAMA_JINJA_ROOT})
if(NOT _root)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup/llama_jinja.sh prefix
    OUTPUT_VARIABLE _root OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
find_path(LlamaJinja_INCLUDE_DIR jinja/runtime.h PATHS ${_root}/include NO_DEFAULT_PATH NO_CACHE)
find_library(LlamaJinja_LIBRARY llama-jinja PATHS ${_root}/lib NO_DEFAULT_PATH NO_CACHE)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LlamaJinja REQUIRED_VARS LlamaJinja_INCLUDE_DIR LlamaJinja_LIBRARY
  REASON_FAILURE_MESSAGE "run ./dev setup, or pass -DLLAMA_JINJA_ROOT=<prefix>")
if(LlamaJinja_FOUND)
  add_library(llama::jinja STATIC IMPORTED GLOBAL)
  set_target_properties(llama::jinja PROPERTIES IMPORTED_LOCATION ${LlamaJinja_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${LlamaJinja_INCLUDE_DIR})
endif()
