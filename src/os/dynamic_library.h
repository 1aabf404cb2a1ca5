// SPDX-License-Identifier: Apache-2.0
// Shared libraries opened at run time.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace mlos::os {

// Copyable. A library, once opened, stays loaded for the life of the process: engines leave threads and thread-local
// destructors behind that must not lose their code. Thread-safe.
class DynamicLibrary {
 public:
  // Resolves every symbol now and offers none to other libraries. kNotFound when there is no such file, kUnimplemented
  // with the loader's words when it cannot be loaded here.
  static Result<DynamicLibrary> Open(const std::filesystem::path& path);

  // Address of an exported symbol; kNotFound, naming it, when there is none.
  Result<void*> Symbol(const char* name) const;

 private:
  DynamicLibrary(void* handle, std::filesystem::path path) : handle_(handle), path_(std::move(path)) {}

  void* handle_;
  std::filesystem::path path_;
};

}  // namespace mlos::os
