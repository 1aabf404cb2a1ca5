// SPDX-License-Identifier: Apache-2.0
// Installs of a few small files, for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "os/file.h"
#include "package/digest.h"
#include "package/store.h"

namespace mlos::package {

using FileContents = std::vector<std::pair<std::string, std::string>>;

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
