// SPDX-License-Identifier: Apache-2.0
#include "hub/local.h"

#include <algorithm>

#include "package/digest.h"

namespace mlos::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 100'000;

// True when `file`, followed through links, lies under `root` (both canonical).
bool IsInside(const fs::path& root, const fs::path& file) {
  const auto [end, unused] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  return end == root.end();
}

Result<std::vector<RemoteFile>> ListFolder(const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  std::vector<RemoteFile> files;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(".")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error)) continue;
    RemoteFile file;
    file.path = it->path().lexically_relative(root).generic_string();
    if (!IsSafePath(file.path))
      return InvalidArgument(folder.string() + " holds a file with an unusable name");
    if (it->is_symlink(error) && !IsInside(root, fs::canonical(it->path(), error))) {
      return InvalidArgument(folder.string() + ": '" + file.path + "' is a link out of the folder");
    }
    file.size_bytes = it->file_size(error);
    files.push_back(std::move(file));
    if (files.size() > kMaxFiles) return InvalidArgument(folder.string() + " holds more than 100000 files");
  }
  if (error) return Unavailable("cannot read " + folder.string() + ": " + error.message());
  return files;
}

}  // namespace

Result<Repository> LocalAdapter::Resolve(const package::ModelRef& ref,
                                         const std::atomic<bool>* /*interrupted*/) {
  std::error_code error;
  Repository repository;
  repository.hub = "local";
  repository.id = ref.name;
  repository.url = "file://" + fs::absolute(path_, error).lexically_normal().string();
  if (fs::is_directory(path_, error)) {
    MLOS_ASSIGN_OR_RETURN(repository.files, ListFolder(path_));
  } else if (fs::is_regular_file(path_, error)) {
    repository.files.push_back({path_.filename().string(), fs::file_size(path_, error), "", ""});
  } else {
    return NotFound("no file or folder " + path_.string());
  }
  if (repository.files.empty()) return NotFound(path_.string() + " is empty");
  std::sort(repository.files.begin(), repository.files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  std::string listing;
  for (const RemoteFile& file : repository.files) {
    const auto written =
        fs::last_write_time(Locate(repository, file).local, error).time_since_epoch().count();
    listing += file.path + '\n' + std::to_string(file.size_bytes) + '\n' + std::to_string(written) + '\n';
  }
  repository.commit = "sha256-" + package::Sha256Hex(listing);
  return repository;
}

FileSource LocalAdapter::Locate(const Repository& /*repository*/, const RemoteFile& file) const {
  std::error_code error;
  FileSource source;
  source.local = fs::is_directory(path_, error) ? path_ / file.path : path_;
  return source;
}

}  // namespace mlos::hub
