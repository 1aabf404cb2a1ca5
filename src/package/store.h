// SPDX-License-Identifier: Apache-2.0
// The content-addressed store of installed packages.
//
//   <root>/blobs/sha256-<hex>                         file contents, read-only, fsynced, immutable
//   <root>/packages/<ns>/<name...>/@<label>/          one package: hard links to blobs, manifest.yaml
//   <root>/staging/<ns>--<name>--<label>/             an install under way; survives a kill, so that a rerun completes it
//   <root>/incoming/<key>                             partial downloads
//   <root>/locks/...                                  flock files, one per model, one for the blobs
//
// A package exists if and only if its folder in packages/ exists: it gets there by one rename, after everything in it is on
// disk. Several processes may use one store.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "package/manifest.h"
#include "package/ref.h"

namespace mlos::package {

struct InstalledPackage {
  ModelRef ref;
  std::filesystem::path dir;
  Manifest manifest;
  uint64_t size_bytes = 0;
};

// One install. Holds the model's lock; a second install of the same model waits (in Store::Begin). Destroying it without
// Commit keeps what was downloaded for the next try. Not thread-safe except where said.
class Install {
 public:
  virtual ~Install() = default;

  // Where the package takes shape. Files appear here by the calls below.
  virtual const std::filesystem::path& dir() const = 0;
  // Where a download identified by `key` (any text: its digest or URL + etag) is written; what an earlier, killed try
  // left is still there. Thread-safe.
  virtual std::filesystem::path IncomingPath(const std::string& key) const = 0;
  // True, and the file is in the package, when the store already holds these bytes. Thread-safe.
  virtual Result<bool> LinkBlob(const std::string& path, const std::string& sha256) = 0;
  // Moves a finished download into the store and the package. `sha256` is what was computed while streaming.
  // Thread-safe.
  virtual Status AddFile(const std::string& path, const std::filesystem::path& incoming, const std::string& sha256) = 0;
  // Copies (reflinks where the file system can) a file that the store must not share with its owner; hashes it.
  virtual Result<PackageFile> AddCopy(const std::string& path, const std::filesystem::path& source) = 0;
  // A small file made here: the converter's graph, ...
  virtual Result<PackageFile> AddContents(const std::string& path, std::string_view contents) = 0;
  // Files of the package so far, sorted by path.
  virtual std::vector<PackageFile> files() const = 0;
  // Writes manifest.yaml (with files() as its file list), syncs, and renames the package into place, replacing an older one
  // of the same name. After this the object is spent.
  virtual Result<InstalledPackage> Commit(Manifest manifest) = 0;
  // Drops the staging folder.
  virtual Status Discard() = 0;
};

struct VerifyProblem {
  std::string path;
  std::string what;  // "missing", "size is 3, manifest says 5", "sha256 differs"
};

// Thread-safe; so are several processes.
class Store {
 public:
  virtual ~Store() = default;
  // Creates the folders when they are missing.
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& root);
  virtual const std::filesystem::path& root() const = 0;

  // Waits for another process that installs the same model; `wait = false` answers kUnavailable instead.
  virtual Result<std::unique_ptr<Install>> Begin(const ModelRef& ref, bool wait = true) = 0;
  virtual Result<std::vector<InstalledPackage>> List() const = 0;
  // kNotFound tells what is installed under that name.
  virtual Result<InstalledPackage> Find(const ModelRef& ref) const = 0;
  // Re-hashes every file. Empty = intact.
  virtual Result<std::vector<VerifyProblem>> Verify(const ModelRef& ref) const = 0;
  virtual Status Remove(const ModelRef& ref) = 0;
  // Deletes blobs no package uses and staging older than a day; answers bytes freed. Remove calls it.
  virtual Result<uint64_t> CollectGarbage() = 0;
};

// A package folder anywhere (not necessarily in a store): reads manifest.yaml and checks that its files exist with their
// sizes.
Result<InstalledPackage> OpenPackage(const std::filesystem::path& dir);

}  // namespace mlos::package
