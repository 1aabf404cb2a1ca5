// SPDX-License-Identifier: Apache-2.0
#include "hub/mirror_catalog.h"

#include <algorithm>
#include <array>

#include "hub/adapter.h"
#include "hub/huggingface.h"
#include "os/directory.h"
#include "os/file.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLfsBytes = 1U << 20U;

bool IsLfs(const std::string& path, uint64_t size_bytes) {
  static const std::array<const char*, 14> kBinary = {".safetensors", ".bin", ".gguf",      ".onnx",   ".pt",
                                                      ".pth",         ".h5",  ".msgpack",   ".tflite", ".npz",
                                                      ".npy",         ".ot",  ".onnx_data", ".ckpt"};
  if (size_bytes >= kLfsBytes) return true;
  return std::any_of(kBinary.begin(), kBinary.end(),
                     [&](const char* suffix) { return path.ends_with(suffix); });
}

bool IsInside(const fs::path& root, const fs::path& path) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

bool HoldsFiles(const fs::path& dir) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(".") && it->is_regular_file(error)) return true;
  }
  return false;
}

std::vector<std::string> Subfolders(const fs::path& dir) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(".") && name.find('@') == std::string::npos && it->is_directory(error))
      out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

const CatalogFile* CatalogRepository::Find(const std::string& path) const {
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const CatalogFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

std::vector<std::string> Catalog::List() const {
  std::vector<std::string> ids;
  for (const std::string& name : Subfolders(root_)) {
    if (HoldsFiles(root_ / name)) {
      ids.push_back(name);
      continue;
    }
    for (const std::string& inner : Subfolders(root_ / name)) {
      if (HoldsFiles(root_ / name / inner)) ids.push_back(name + "/" + inner);
    }
  }
  return ids;
}

fs::path Catalog::CacheFile(const CatalogFile& file) const {
  const std::string key = file.source.string() + '\n' + std::to_string(file.size_bytes) + '\n' +
                          std::to_string(file.modified_ns) + (file.is_lfs ? "\nsha256" : "\ngit");
  return cache_dir_ / package::Sha256Hex(key);
}

std::string Catalog::KnownDigest(const std::string& key) const {
  const MutexLock lock(mu_);
  const auto found = digests_.find(key);
  return found == digests_.end() ? "" : found->second;
}

Result<std::string> Catalog::Digest(const CatalogFile& file) const {
  const fs::path cached = CacheFile(file);
  const std::string key = cached.filename().string();
  std::string digest = KnownDigest(key);
  if (!digest.empty()) return digest;
  // Files whose digest is known are served meanwhile.
  const MutexLock hashing(hashing_);
  digest = KnownDigest(key);
  if (!digest.empty()) return digest;
  if (!cache_dir_.empty()) digest = os::ReadFile(cached, 100).value_or("");
  if (file.is_lfs ? !package::IsSha256Hex(digest) : !IsCommit(digest)) {
    MLOS_ASSIGN_OR_RETURN(
        digest, file.is_lfs ? package::Sha256File(file.source) : package::GitBlobSha1File(file.source));
    // A cache that cannot be written costs time, not correctness.
    if (!cache_dir_.empty() && os::MakeDirectories(cache_dir_).ok()) {
      (void)os::WriteFileAtomically(cached, digest);
    }
  }
  const MutexLock lock(mu_);
  digests_[key] = digest;
  return digest;
}

Result<CatalogRepository> Catalog::Read(const fs::path& dir, const std::string& id) const {
  CatalogRepository repository;
  repository.id = id;
  std::error_code error;
  const fs::path root = fs::canonical(root_, error);
  const fs::path top = fs::canonical(dir, error);
  if (error) return NotFound("no repository '" + id + "' on this mirror");
  for (fs::recursive_directory_iterator it(top, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(".")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    CatalogFile file;
    file.path = it->path().lexically_relative(top).generic_string();
    // A link that leads out of what is served may be somebody's trick.
    file.source = fs::canonical(it->path(), error);
    if (error || !IsSafePath(file.path) || (!IsInside(top, file.source) && !IsInside(root, file.source))) {
      error.clear();
      continue;
    }
    const Result<os::FileInfo> info = os::Stat(file.source);
    if (!info.ok() || !info->is_regular) continue;
    file.size_bytes = info->size_bytes;
    file.modified_ns = info->modified_unix_ns;
    file.is_lfs = IsLfs(file.path, file.size_bytes);
    MLOS_ASSIGN_OR_RETURN(file.digest, Digest(file));
    repository.files.push_back(std::move(file));
  }
  if (error) return Internal("cannot read the folder of '" + id + "': " + error.message());
  std::sort(repository.files.begin(), repository.files.end(),
            [](const CatalogFile& a, const CatalogFile& b) { return a.path < b.path; });
  package::Sha256 hash;
  for (const CatalogFile& file : repository.files) {
    hash.Update(file.path);
    hash.Update(std::string_view("\0", 1));
    hash.Update(file.digest);
    hash.Update("\n");
  }
  repository.commit = hash.Finish().substr(0, 40);
  return repository;
}

std::vector<fs::path> Catalog::RevisionFolders(const std::string& id) const {
  std::vector<fs::path> out;
  const fs::path main = root_ / id;
  const std::string prefix = main.filename().string() + "@";
  std::error_code error;
  for (fs::directory_iterator it(main.parent_path(), error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(prefix) && it->is_directory(error))
      out.push_back(it->path());
  }
  return out;
}

Result<CatalogRepository> Catalog::Open(const std::string& id, const std::string& revision) const {
  const fs::path main = root_ / id;
  if (!IsSafePath(id) || !HoldsFiles(main)) return NotFound("no repository '" + id + "' on this mirror");
  const Status no_revision =
      FailedPrecondition("'" + id + "' has no revision '" + revision + "' on this mirror");
  std::vector<std::pair<std::string, fs::path>> candidates;
  if (revision == "main" || IsCommit(revision)) candidates.emplace_back("main", main);
  for (const fs::path& folder : RevisionFolders(id)) {
    const std::string name = folder.filename().string().substr(main.filename().string().size() + 1);
    if (name == revision || IsCommit(revision)) candidates.emplace_back(name, folder);
  }
  for (const auto& [name, folder] : candidates) {
    MLOS_ASSIGN_OR_RETURN(CatalogRepository repository, Read(folder, id));
    repository.revision = name;
    if (!IsCommit(revision) || repository.commit == revision) return repository;
  }
  return no_revision;
}

}  // namespace mlos::hub
