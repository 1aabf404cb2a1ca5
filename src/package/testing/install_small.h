// SPDX-License-Identifier: Apache-2.0
// Installs of a few small files, for tests.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "os/file.h"
#include "package/digest.h"
#include "package/store.h"

namespace mlos::package {

using FileContents = std::vector<std::pair<std::string, std::string>>;

// Where stores of tests live: hundreds of installs that each sync several times, so in memory where there is
// such a file system.
inline std::filesystem::path FastFolder() {
  const std::filesystem::path memory = "/dev/shm";
  return os::Exists(memory) ? memory : std::filesystem::temp_directory_path();
}

// Valid once Commit has filled in the names and files.
inline Manifest SmallManifest() {
  Manifest manifest;
  manifest.framework_name = "test";
  manifest.format_type = "test";
  return manifest;
}

// Downloads each file as a hub would: whole, to its incoming path, then into the store.
inline Result<InstalledPackage> InstallSmall(Store& store, const ModelRef& ref, const FileContents& files) {
  MLOS_ASSIGN_OR_RETURN(const auto install, store.Begin(ref));
  for (const auto& [path, contents] : files) {
    const std::string sha256 = Sha256Hex(contents);
    MLOS_ASSIGN_OR_RETURN(const bool linked, install->LinkBlob(path, sha256));
    if (linked) continue;
    const std::filesystem::path incoming = install->IncomingPath(sha256);
    MLOS_RETURN_IF_ERROR(os::WriteFile(incoming, contents));
    MLOS_RETURN_IF_ERROR(install->AddFile(path, incoming, sha256));
  }
  return install->Commit(SmallManifest());
}

}  // namespace mlos::package
