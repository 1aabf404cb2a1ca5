// SPDX-License-Identifier: Apache-2.0
// What every sandboxed process sees of the system: the loader, the libraries, what engines ask about the machine.
#include <system_error>

#include "os/sandbox_parts.h"

namespace mlos::os::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCode[] = {"/lib",           "/lib32",     "/lib64",          "/libx32",
                                 "/usr/lib",       "/usr/lib32", "/usr/lib64",      "/usr/libx32",
                                 "/usr/local/lib", "/nix/store", "/usr/local/lib64"};
constexpr const char* kFiles[] = {
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/version",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/max_map_count",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
    "/dev/random",
};
// Harmless to write.
constexpr const char* kSinks[] = {"/dev/null", "/dev/zero"};

void Add(std::vector<AllowedPath>* list, const fs::path& path, AllowedPath rights) {
  std::error_code error;
  rights.path = fs::absolute(path, error).lexically_normal();
  if (rights.path.has_relative_path() && !rights.path.has_filename()) rights.path = rights.path.parent_path();
  if (!error && fs::exists(rights.path, error)) list->push_back(std::move(rights));
}

}  // namespace

std::vector<AllowedPath> AllowedPaths(const SandboxSpec& spec) {
  std::vector<AllowedPath> list;
  for (const char* path : kCode) Add(&list, path, {.code = true});
  for (const char* path : kFiles) Add(&list, path, {});
  for (const char* path : kSinks) Add(&list, path, {.device = true});
  for (const fs::path& path : spec.library_paths) Add(&list, path, {.code = true});
  for (const fs::path& path : spec.read_paths) Add(&list, path, {});
  for (const fs::path& path : spec.write_paths) Add(&list, path, {.write = true});
  for (const fs::path& path : spec.device_paths) Add(&list, path, {.device = true});
  return list;
}

}  // namespace mlos::os::sandbox
