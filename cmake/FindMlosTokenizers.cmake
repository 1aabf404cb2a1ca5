# SPDX-License-Identifier: Apache-2.0
# Target mlos::tokenizers: the static library that `./dev setup` builds from src/preprocess/tokenizers_c (C functions only).
if(TARGET mlos::tokenizers)
  return()
endif()

execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup/tokenizers.sh prefix
  OUTPUT_VARIABLE _prefix OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_library(MlosTokenizers_LIBRARY mlos_tokenizers PATHS ${_prefix}/lib NO_DEFAULT_PATH NO_CACHE)

# A changed crate is another library: configure again.
file(GLOB_RECURSE _crate CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/preprocess/tokenizers_c/*.rs)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${_crate}
  ${CMAKE_SOURCE_DIR}/src/preprocess/tokenizers_c/Cargo.toml ${CMAKE_SOURCE_DIR}/src/preprocess/tokenizers_c/Cargo.lock.in)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MlosTokenizers REQUIRED_VARS MlosTokenizers_LIBRARY
  REASON_FAILURE_MESSAGE "run ./dev setup")
if(MlosTokenizers_FOUND)
  find_package(Threads REQUIRED)
  add_library(mlos::tokenizers STATIC IMPORTED GLOBAL)
  set_target_properties(mlos::tokenizers PROPERTIES IMPORTED_LOCATION ${MlosTokenizers_LIBRARY}
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
