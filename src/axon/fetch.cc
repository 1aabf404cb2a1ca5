// SPDX-License-Identifier: Apache-2.0
#include "axon/fetch.h"

#include <algorithm>
#include <optional>

#include "hub/download.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"
#include "package/digest.h"

namespace mlos::axon {
namespace {

// Left free for everything else on the disk.
constexpr uint64_t kReserveBytes = 64U << 20U;

std::string IncomingKey(const hub::Repository& repository, const hub::RemoteFile& file) {
  if (!file.sha256.empty()) return file.path + " sha256:" + file.sha256;
  if (!file.git_sha1.empty()) return file.path + " git:" + file.git_sha1;
  return file.path + " " + repository.url + "@" + repository.commit;
}

// False when the copy is not what the hub lists.
Result<bool> Copy(const hub::RemoteFile& file, const std::filesystem::path& from, package::Install* install) {
  MLOS_ASSIGN_OR_RETURN(const package::PackageFile copied, install->AddCopy(file.path, from));
  bool matches = file.sha256.empty() || copied.sha256 == file.sha256;
  if (file.sha256.empty() && !file.git_sha1.empty()) {
    MLOS_ASSIGN_OR_RETURN(const std::string git_sha1, package::GitBlobSha1File(install->dir() / file.path));
    matches = git_sha1 == file.git_sha1;
  }
  if (!matches) MLOS_RETURN_IF_ERROR(install->RemoveFile(file.path));
  return matches;
}

Status CheckRoom(const FetchOptions& options, uint64_t needed_bytes) {
  const Result<uint64_t> free = os::FreeBytes(options.store_root);
  if (!free.ok() || *free >= needed_bytes + kReserveBytes || needed_bytes == 0) return OkStatus();
  return ResourceExhausted("not enough room for the model: it needs " + os::FormatBytes(needed_bytes) +
                           " (and " + os::FormatBytes(kReserveBytes) + " to spare), " +
                           options.store_root.string() + " has " + os::FormatBytes(*free) +
                           " free; make room, or set MLOS_HOME to a bigger disk");
}

// What is still to be downloaded after the store and this machine were looked at.
Result<std::vector<hub::DownloadItem>> FromHere(const hub::Adapter& adapter,
                                                const hub::Repository& repository,
                                                const std::vector<hub::RemoteFile>& files,
                                                const FetchOptions& options, package::Install* install,
                                                FetchReport* report) {
  std::vector<hub::DownloadItem> items;
  uint64_t to_copy = 0;
  for (const hub::RemoteFile& file : files) {
    if (!adapter.Locate(repository, file).local.empty()) to_copy += file.size_bytes;
  }
  MLOS_RETURN_IF_ERROR(CheckRoom(options, to_copy));
  for (const hub::RemoteFile& file : files) {
    if (options.interrupted != nullptr && options.interrupted->load()) return Cancelled("interrupted");
    if (!file.sha256.empty()) {
      MLOS_ASSIGN_OR_RETURN(const bool stored, install->LinkBlob(file.path, file.sha256));
      if (stored) {
        report->stored_bytes += file.size_bytes;
        continue;
      }
    }
    const hub::FileSource source = adapter.Locate(repository, file);
    if (!source.local.empty()) {
      MLOS_ASSIGN_OR_RETURN(const bool good, Copy(file, source.local, install));
      if (good) {
        report->copied_bytes += file.size_bytes;
        continue;
      }
      if (source.url.empty())
        return DataLoss("'" + source.local.string() + "' does not have the digest it is named by");
    }
    if (source.url.empty()) {
      return NotFound("'" + file.path + "' of '" + repository.id +
                      "' is not on this machine, and offline is asked for");
    }
    items.push_back({file, source, install->IncomingPath(IncomingKey(repository, file))});
  }
  return items;
}

uint64_t BytesOnDisk(const std::filesystem::path& path) {
  const Result<os::FileInfo> info = os::Stat(path);
  return info.ok() ? info->size_bytes : 0;
}

}  // namespace

Status Fetch(const hub::Adapter& adapter, const hub::Repository& repository,
             const std::vector<hub::RemoteFile>& files, const FetchOptions& options,
             package::Install* install, Progress* progress, FetchReport* report) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<hub::DownloadItem> items,
                        FromHere(adapter, repository, files, options, install, report));
  if (items.empty()) return OkStatus();
  uint64_t total = 0;
  uint64_t needed = 0;
  std::vector<std::string> names;
  for (const hub::DownloadItem& item : items) {
    total += item.file.size_bytes;
    needed += item.file.size_bytes - std::min(item.file.size_bytes, BytesOnDisk(item.target));
    names.push_back(item.file.path);
  }
  MLOS_RETURN_IF_ERROR(CheckRoom(options, needed));
  progress->Begin(total, std::move(names));
  hub::DownloadOptions download;
  download.interrupted = options.interrupted;
  const hub::HttpSubject subject = {hub::HostOf(options.settings.endpoint), repository.id, repository.commit,
                                    "", options.settings.token_origin};
  // The last digest that is known ends the download; syncing to the disk comes after it.
  std::atomic<int64_t> last_digest_ns{progress->elapsed_ns()};
  const auto on_complete = [&](const hub::DownloadItem& item, const std::string& sha256) {
    last_digest_ns.store(std::max(last_digest_ns.load(), progress->elapsed_ns()));
    return install->AddFile(item.file.path, item.target, sha256);
  };
  const Status status = hub::Download(items, options.settings, download, subject, progress, on_complete);
  progress->End();
  report->downloaded_bytes += progress->downloaded_bytes();
  report->resumed_bytes += progress->resumed_bytes();
  report->download_s += static_cast<double>(last_digest_ns.load()) / 1e9;
  return status;
}

}  // namespace mlos::axon
