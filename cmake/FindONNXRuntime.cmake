# SPDX-License-Identifier: Apache-2.0
# Target onnxruntime::onnxruntime (C API headers and shared library). Looked for in this order:
#   -DONNXRUNTIME_ROOT=<folder with include/ and lib/>, an installed ONNX Runtime, the copy that `./dev setup` keeps.
# ONNXRuntime_RUNTIME_LIBRARIES: files a plugin carries along; empty when the system has them installed.
if(TARGET onnxruntime::onnxruntime)
  return()
endif()

# Not cached: the prefix changes with the version.
set(_suffixes include include/onnxruntime include/onnxruntime/core/session)
set(_root ${ONNXRUNTIME_ROOT})
if(NOT _root)
  find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_c_api.h PATH_SUFFIXES onnxruntime onnxruntime/core/session NO_CACHE)
  find_library(ONNXRuntime_LIBRARY onnxruntime NO_CACHE)
  if(NOT (ONNXRuntime_INCLUDE_DIR AND ONNXRuntime_LIBRARY))
    # Headers and library come from one place.
    unset(ONNXRuntime_INCLUDE_DIR)
    unset(ONNXRuntime_LIBRARY)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup/onnxruntime.sh prefix
      OUTPUT_VARIABLE _root OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
endif()
set(_carried "")
if(_root)
  find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_c_api.h PATHS ${_root} PATH_SUFFIXES ${_suffixes} NO_DEFAULT_PATH NO_CACHE)
  find_library(ONNXRuntime_LIBRARY onnxruntime PATHS ${_root} PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH NO_CACHE)
  set(_carried ${ONNXRuntime_LIBRARY})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ONNXRuntime REQUIRED_VARS ONNXRuntime_LIBRARY ONNXRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run ./dev setup, or pass -DONNXRUNTIME_ROOT=<folder with include/ and lib/>")
if(ONNXRuntime_FOUND)
  add_library(onnxruntime::onnxruntime INTERFACE IMPORTED GLOBAL)
  target_include_directories(onnxruntime::onnxruntime INTERFACE ${ONNXRuntime_INCLUDE_DIR})
  target_link_libraries(onnxruntime::onnxruntime INTERFACE ${ONNXRuntime_LIBRARY})
  set(ONNXRuntime_RUNTIME_LIBRARIES ${_carried} CACHE INTERNAL "")
endif()
