// SPDX-License-Identifier: Apache-2.0
// The repositories in a folder, as the mirror serves them.
//
//   <root>/<name>/...            repository "name" (a folder that holds files itself)
//   <root>/<org>/<name>/...      repository "org/name"
//   <root>/<id>@<revision>/...   the same repository at another revision (branch or tag)
//
// The commit is the first 40 hex digits of a sha256 over names and digests of all files: the same files have the same
// commit everywhere. Digests are kept in a cache folder, keyed by path, size and modification time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace mlos::hub {

struct CatalogFile {
  std::string path;  // inside the repository
  std::filesystem::path source;
  uint64_t size_bytes = 0;
  int64_t modified_ns = 0;
  bool is_lfs = false;  // big or binary: named by sha256; else by git blob id
  std::string digest;
};

struct CatalogRepository {
  std::string id;
  std::string revision;
  std::string commit;
  std::vector<CatalogFile> files;  // sorted by path
  const CatalogFile* Find(const std::string& path) const;
};

// Thread-safe. Each call looks at the folder anew; the first one over new files reads them all.
class Catalog {
 public:
  Catalog(std::filesystem::path root, std::filesystem::path cache_dir)
      : root_(std::move(root)), cache_dir_(std::move(cache_dir)) {}

  std::vector<std::string> List() const;
  // `revision`: "main", a commit, or one that has a folder. kNotFound: the repository (code "RepoNotFound" is for the
  // caller to add) ; kFailedPrecondition: the repository is there, the revision is not.
  Result<CatalogRepository> Open(const std::string& id, const std::string& revision) const;

 private:
  Result<CatalogRepository> Read(const std::filesystem::path& dir, const std::string& id) const;
  Result<std::string> Digest(const CatalogFile& file) const;
  std::string KnownDigest(const std::string& key) const;  // empty when it is not known
  std::filesystem::path CacheFile(const CatalogFile& file) const;
  std::vector<std::filesystem::path> RevisionFolders(const std::string& id) const;

  const std::filesystem::path root_;
  const std::filesystem::path cache_dir_;  // empty: no cache on disk
  mutable Mutex hashing_;                  // held while hashing: nothing is hashed twice; taken before mu_
  mutable Mutex mu_;
  mutable std::map<std::string, std::string> digests_ MLOS_GUARDED_BY(mu_);  // by key of path, size, time
};

}  // namespace mlos::hub
