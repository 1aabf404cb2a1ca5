// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"
#include "os/file.h"
#include "package/path.h"
#include "package/store.h"

namespace mlos::package {

Result<InstalledPackage> OpenPackage(const std::filesystem::path& dir) {
  const std::filesystem::path manifest_file = dir / kManifestName;
  auto manifest = ReadManifest(manifest_file);
  if (!manifest.ok()) {
    if (manifest.status().code() != Code::kNotFound) return manifest.status();
    return NotFound("'" + dir.string() + "' is no package: it has no " + std::string(kManifestName));
  }
  InstalledPackage package;
  package.dir = dir;
  package.manifest = std::move(*manifest);
  const Manifest& m = package.manifest;
  MLOS_ASSIGN_OR_RETURN(package.ref, ParseModelRef(m.namespace_ + "/" + m.name + "@" + m.version));
  for (const PackageFile& file : m.files) {
    const auto info = os::Stat(dir / file.path);
    const std::string what = "package '" + dir.string() + "': file '" + Printable(file.path) + "' ";
    if (!info.ok()) {
      if (info.status().code() != Code::kNotFound) return info.status();
      return DataLoss(what + "is missing; install the package again");
    }
    if (!info->is_regular) return DataLoss(what + "is not a regular file");
    const bool size_known = !file.sha256.empty();
    if (size_known && info->size_bytes != file.size_bytes) {
      return DataLoss(what + "has " + std::to_string(info->size_bytes) + " bytes, the manifest says " +
                      std::to_string(file.size_bytes) + "; install the package again");
    }
    const auto sum = CheckedAdd(package.size_bytes, info->size_bytes);
    if (!sum) return DataLoss(what + "makes the package larger than 2^64 bytes");
    package.size_bytes = *sum;
  }
  return package;
}

}  // namespace mlos::package
