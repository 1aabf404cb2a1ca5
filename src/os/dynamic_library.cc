// SPDX-License-Identifier: Apache-2.0
#include "os/dynamic_library.h"

#include <dlfcn.h>

#include <string>
#include <system_error>

namespace mlos::os {
namespace {

std::string LoaderError() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error of the loader" : text;
}

}  // namespace

Result<DynamicLibrary> DynamicLibrary::Open(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return NotFound("there is no library " + path.string());
  // An absolute path, so that a bare file name is never searched for in the system's folders.
  const std::filesystem::path absolute = std::filesystem::absolute(path, ignored);
  void* handle = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) return Unimplemented("cannot load " + path.string() + ": " + LoaderError());
  return DynamicLibrary(handle, absolute);
}

Result<void*> DynamicLibrary::Symbol(const char* name) const {
  void* address = dlsym(handle_, name);
  if (address == nullptr) return NotFound(path_.string() + " does not export '" + name + "'");
  return address;
}

}  // namespace mlos::os
