// SPDX-License-Identifier: Apache-2.0
#include "hub/hf_cache.h"

#include <algorithm>
#include <fstream>

#include "hub/huggingface.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;

std::string ReadRef(const fs::path& file) {
  std::ifstream in(file);
  std::string commit;
  in >> commit;
  return IsCommit(commit) ? commit : "";
}

// The digest that the cache names the blob by, when `file` is a link into blobs/.
void ReadDigest(const fs::path& file, RemoteFile* out) {
  std::error_code error;
  const fs::path target = fs::read_symlink(file, error);
  if (error) return;
  const std::string name = target.filename().string();
  if (package::IsSha256Hex(name)) out->sha256 = name;
  if (IsCommit(name)) out->git_sha1 = name;
}

}  // namespace

fs::path HfCache::RepositoryDir(const std::string& id) const {
  std::string name = "models--";
  for (const char c : id) {
    if (c == '/') {
      name += "--";
    } else {
      name += c;
    }
  }
  return root_ / name;
}

Result<Repository> HfCache::Resolve(const std::string& id, const std::string& revision) const {
  if (root_.empty()) return NotFound("no Hugging Face cache: neither HF_HOME nor HOME is set");
  const fs::path dir = RepositoryDir(id);
  const std::string commit = IsCommit(revision) ? revision : ReadRef(dir / "refs" / revision);
  const fs::path snapshot = dir / "snapshots" / commit;
  std::error_code error;
  if (commit.empty() || !fs::is_directory(snapshot, error)) {
    return NotFound("'" + id + "' at revision '" + revision + "' is not in the Hugging Face cache " +
                    root_.string());
  }
  Repository repository;
  repository.hub = "huggingface";
  repository.id = id;
  repository.commit = commit;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end; it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    RemoteFile file;
    file.path = it->path().lexically_relative(snapshot).generic_string();
    file.size_bytes = it->file_size(error);
    if (error || !IsSafePath(file.path)) continue;
    ReadDigest(it->path(), &file);
    repository.files.push_back(std::move(file));
  }
  if (error) return Unavailable("cannot read " + snapshot.string() + ": " + error.message());
  std::sort(repository.files.begin(), repository.files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return repository;
}

fs::path HfCache::FindFile(const std::string& id, const std::string& commit, const RemoteFile& file) const {
  if (root_.empty()) return {};
  const fs::path dir = RepositoryDir(id);
  const auto usable = [&file](const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error) && fs::file_size(path, error) == file.size_bytes && !error;
  };
  const std::string& digest = file.sha256.empty() ? file.git_sha1 : file.sha256;
  if (!digest.empty() && usable(dir / "blobs" / digest)) return dir / "blobs" / digest;
  if (usable(dir / "snapshots" / commit / file.path)) return dir / "snapshots" / commit / file.path;
  return {};
}

}  // namespace mlos::hub
