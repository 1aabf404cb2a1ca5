// SPDX-License-Identifier: Apache-2.0
// The content-addressed store of installed packages.
//
//   <root>/blobs/sha256-<hex>                  file contents, read-only, fsynced, immutable
//   <root>/packages/<ns>/<name...>/@<label>/   one package: manifest.yaml, hard links to blobs
//   <root>/staging/<key>/                      an install under way; survives a kill: a rerun completes it
//   <root>/incoming/<key>/                     its partial downloads
//   <root>/locks/<key>.lock, blobs.lock        flock files, one per model, one for the blobs; never removed
//
// In a label "/" is written "%2F". <key> is the reference in a readable form with a digest. A package exists
// if and only if its folder in packages/ exists: it gets there by one rename, after everything in it is on
// disk. A package that is replaced changes places with the new one in one step; where the file system cannot
// do that, the old one is kept as "@<label>%old" until the new one is in place. Files are hard links because
// ONNX Runtime refuses symbolic links that leave the model's folder.
//
// Several processes may use one store. Order of locks: the model's lock first, then blobs.lock: shared while
// a file is put into a package, exclusive while unused blobs are deleted. Reading takes no lock, so that a
// read-only store can be listed.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
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
  // From List only: why the package cannot be used (then manifest may be empty). "" = sound as far as names
  // and sizes go.
  std::string problem;
};

// One install. Holds the model's lock until it is destroyed, committed or discarded; a second install of the
// same model waits (in Store::Begin). Destroying it without Commit keeps what was downloaded for the next
// try. The store must outlive it. Not thread-safe except where said.
class Install {
 public:
  virtual ~Install() = default;

  // What was installed under this name when the lock was got. After a wait this is usually what the other
  // process has just installed: look here before downloading anything.
  virtual const std::optional<InstalledPackage>& existing() const = 0;
  // True when another install of this model was waited for.
  virtual bool waited() const = 0;

  // Where the package takes shape. Files appear here by the calls below and are read-only; put none here
  // yourself.
  virtual const std::filesystem::path& dir() const = 0;
  // Where a download identified by `key` (any text: its digest or URL + etag) is written; what an earlier,
  // killed try left is still there. Belongs to this model alone; one writer a key. Thread-safe.
  virtual std::filesystem::path IncomingPath(const std::string& key) const = 0;
  // True, and the file is in the package, when the store already holds these bytes. Thread-safe.
  virtual Result<bool> LinkBlob(const std::string& path, const std::string& sha256) = 0;
  // Moves a finished download (a file at an IncomingPath) into the store and the package. `sha256` is what
  // was computed while streaming; it is not computed again. Thread-safe.
  virtual Status AddFile(const std::string& path, const std::filesystem::path& incoming,
                         const std::string& sha256) = 0;
  // Copies (reflinks where the file system can) a file that the store must not share with its owner; hashes
  // it. Thread-safe.
  virtual Result<PackageFile> AddCopy(const std::string& path, const std::filesystem::path& source) = 0;
  // A small file made here: the converter's graph, ... Thread-safe.
  virtual Result<PackageFile> AddContents(const std::string& path, std::string_view contents) = 0;
  // Takes a file out of the package again. Thread-safe.
  virtual Status RemoveFile(const std::string& path) = 0;
  // Files of the package so far, sorted by path. Thread-safe.
  virtual std::vector<PackageFile> files() const = 0;
  // Writes manifest.yaml (with files() as its file list and the names of the reference), syncs, and renames
  // the package into place, replacing an older one of the same name. After success this object is spent;
  // after an error nothing is listed that was not before, and Commit may be called again. kInvalidArgument
  // for a manifest that would not read back.
  virtual Result<InstalledPackage> Commit(Manifest manifest) = 0;
  // Drops the staging folder and the partial downloads. The object is spent.
  virtual Status Discard() = 0;
};

struct VerifyProblem {
  std::string path;
  std::string what;  // "missing", "size is 3, manifest says 5", "sha256 differs", "not in the manifest"
};

// Thread-safe; so are several processes.
class Store {
 public:
  virtual ~Store() = default;
  // Creates the folders when they are missing. A store that cannot be written can still be opened and read.
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& root);
  virtual const std::filesystem::path& root() const = 0;

  // Waits for another process (or thread) that installs the same model; `wait = false` answers kUnavailable
  // instead. A signal whose handler was installed without SA_RESTART ends the wait with kCancelled. See
  // Install::existing.
  virtual Result<std::unique_ptr<Install>> Begin(const ModelRef& ref, bool wait = true) = 0;
  // Sorted by reference; damaged packages are in it, with their problem.
  virtual Result<std::vector<InstalledPackage>> List() const = 0;
  // kNotFound tells what is installed under that name; kDataLoss what is damaged.
  virtual Result<InstalledPackage> Find(const ModelRef& ref) const = 0;
  // Re-hashes every file. Empty = intact. Damaged contents are not linked into further packages, so that a
  // reinstall downloads them anew.
  virtual Result<std::vector<VerifyProblem>> Verify(const ModelRef& ref) const = 0;
  // kUnavailable while the model is being installed. Files that a process has mapped live on until it lets go
  // of them.
  virtual Status Remove(const ModelRef& ref) = 0;
  // Deletes blobs no package uses and staging older than a day; answers bytes freed. Remove calls it.
  virtual Result<uint64_t> CollectGarbage() = 0;
};

// A package folder anywhere (not necessarily in a store): reads manifest.yaml and checks that its files exist
// with their sizes. kNotFound when there is no manifest, kDataLoss when a file is missing or has another
// size.
Result<InstalledPackage> OpenPackage(const std::filesystem::path& dir);

}  // namespace mlos::package
