// SPDX-License-Identifier: Apache-2.0
#include "package/install.h"

#include <algorithm>
#include <set>

#include "os/directory.h"
#include "os/file.h"
#include "package/digest.h"
#include "package/path.h"

namespace mlos::package {
namespace {

constexpr uint32_t kReadOnly = 0444;
// Another process may remove an empty parent folder between its making and the rename into it.
constexpr int kPublishTries = 100;

// Every file below `dir`, relative to it.
Result<std::vector<std::filesystem::path>> FilesBelow(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  std::vector<std::filesystem::path> open = {""};
  while (!open.empty()) {
    const std::filesystem::path folder = open.back();
    open.pop_back();
    MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(dir / folder));
    for (const std::string& name : names) {
      const auto info = os::Stat(dir / folder / name);
      (info.ok() && info->is_directory ? open : files).push_back(folder / name);
    }
  }
  return files;
}

}  // namespace

StoreInstall::StoreInstall(const StoreLayout& layout, const ModelRef& ref, os::FileLock lock, bool waited,
                           std::optional<InstalledPackage> existing, std::function<void()> collect_garbage)
    : layout_(layout),
      ref_(ref),
      key_(StoreLayout::Key(ref)),
      tree_(layout_.Tree(key_)),
      waited_(waited),
      existing_(std::move(existing)),
      collect_garbage_(std::move(collect_garbage)),
      lock_(std::move(lock)) {}

Result<std::unique_ptr<Install>> StoreInstall::Start(const StoreLayout& layout, const ModelRef& ref,
                                                     os::FileLock lock, bool waited,
                                                     std::optional<InstalledPackage> existing,
                                                     std::function<void()> collect_garbage) {
  std::unique_ptr<StoreInstall> install(new StoreInstall(layout, ref, std::move(lock), waited,
                                                         std::move(existing), std::move(collect_garbage)));
  MLOS_RETURN_IF_ERROR(install->Prepare());
  return std::unique_ptr<Install>(std::move(install));
}

StoreInstall::~StoreInstall() {
  if (spent_) return;
  // Leaves nothing behind when nothing was added: only empty folders go.
  (void)os::RemoveDirectoryIfEmpty(tree_);
  (void)os::RemoveDirectoryIfEmpty(layout_.Staging(key_));
  (void)os::RemoveDirectoryIfEmpty(layout_.Incoming(key_));
}

Status StoreInstall::Prepare() {
  if (os::Exists(tree_)) MLOS_RETURN_IF_ERROR(KeepEarlierFiles());
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(tree_));
  return os::MakeDirectories(layout_.Incoming(key_));
}

// The package starts empty, so that no file of another revision gets in; what a killed try had brought stays
// in the store, because a link to it stays here, and is found again by LinkBlob.
Status StoreInstall::KeepEarlierFiles() {
  const std::filesystem::path kept = layout_.Kept(key_);
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(kept));
  MLOS_ASSIGN_OR_RETURN(const auto files, FilesBelow(tree_));
  for (const std::filesystem::path& file : files) {
    const auto info = os::Stat(tree_ / file);
    if (info.ok() && info->link_count > 1)
      MLOS_RETURN_IF_ERROR(os::Rename(tree_ / file, kept / std::to_string(info->inode)));
  }
  return os::RemoveTree(tree_);
}

std::filesystem::path StoreInstall::IncomingPath(const std::string& key) const {
  return layout_.Incoming(key_) / Sha256Hex(key).substr(0, 40);
}

Status StoreInstall::CheckAddable(const std::string& path, const std::string& sha256) const {
  if (spent_) return FailedPrecondition("the install of " + ref_.ToString() + " is over");
  MLOS_RETURN_IF_ERROR(CheckPackagePath(path));
  if (!IsSha256Hex(sha256))
    return InvalidArgument("'" + Printable(sha256) + "' is no sha256 of 64 lower-case hexadecimal digits");
  const MutexLock lock(mu_);
  const auto clash = [&](const std::string& file, const std::string& folder) {
    return InvalidArgument("path '" + Printable(file) + "' is a file and, for '" + Printable(folder) +
                           "', a folder");
  };
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (files_.contains(path.substr(0, slash))) return clash(path.substr(0, slash), path);
  }
  const auto below = files_.lower_bound(path + "/");
  if (below != files_.end() && below->first.starts_with(path + "/")) return clash(path, below->first);
  return OkStatus();
}

Status StoreInstall::Place(const std::string& path, const std::string& sha256) {
  const std::filesystem::path blob = layout_.Blob(sha256);
  const std::filesystem::path target = tree_ / path;
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(blob));
  if (info.mode != kReadOnly) MLOS_RETURN_IF_ERROR(os::SetMode(blob, kReadOnly));
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(target.parent_path()));
  MLOS_RETURN_IF_ERROR(os::RemoveFile(target));
  Status status = os::HardLink(blob, target);
  if (status.code() == Code::kUnimplemented) {
    // No hard links here, or the blob has as many as a file can have.
    status = os::CopyFile(blob, target);
    if (status.ok()) status = os::SyncFile(target);
    if (status.ok()) status = os::SetMode(target, kReadOnly);
  }
  MLOS_RETURN_IF_ERROR(status);
  const MutexLock lock(mu_);
  files_[path] = PackageFile{path, info.size_bytes, sha256};
  return OkStatus();
}

Result<bool> StoreInstall::LinkBlob(const std::string& path, const std::string& sha256) {
  MLOS_RETURN_IF_ERROR(CheckAddable(path, sha256));
  MLOS_ASSIGN_OR_RETURN(const os::FileLock lock,
                        os::FileLock::Acquire(layout_.BlobsLock(), os::FileLock::Kind::kShared));
  if (!os::Exists(layout_.Blob(sha256))) return false;
  MLOS_RETURN_IF_ERROR(Place(path, sha256));
  return true;
}

Status StoreInstall::AddFile(const std::string& path, const std::filesystem::path& incoming,
                             const std::string& sha256) {
  MLOS_RETURN_IF_ERROR(CheckAddable(path, sha256));
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(incoming));
  if (!info.is_regular) return InvalidArgument("'" + incoming.string() + "' is not a regular file");
  MLOS_RETURN_IF_ERROR(os::SyncFile(incoming));
  MLOS_ASSIGN_OR_RETURN(const os::FileLock lock,
                        os::FileLock::Acquire(layout_.BlobsLock(), os::FileLock::Kind::kShared));
  const auto blob = os::Stat(layout_.Blob(sha256));
  const bool have_it = blob.ok() && blob->is_regular && blob->size_bytes == info.size_bytes;
  if (!have_it) MLOS_RETURN_IF_ERROR(os::Rename(incoming, layout_.Blob(sha256)));
  MLOS_RETURN_IF_ERROR(Place(path, sha256));
  return have_it ? os::RemoveFile(incoming) : OkStatus();
}

Result<PackageFile> StoreInstall::AddCopy(const std::string& path, const std::filesystem::path& source) {
  MLOS_RETURN_IF_ERROR(CheckAddable(path, std::string(64, '0')));
  const std::filesystem::path copy = IncomingPath("copy " + path);
  MLOS_RETURN_IF_ERROR(os::RemoveFile(copy));
  MLOS_RETURN_IF_ERROR(os::CopyFile(source, copy));
  // The copy is hashed, not the source, which may change meanwhile.
  MLOS_ASSIGN_OR_RETURN(const std::string sha256, Sha256File(copy));
  MLOS_RETURN_IF_ERROR(AddFile(path, copy, sha256));
  const MutexLock lock(mu_);
  return files_.at(path);
}

Result<PackageFile> StoreInstall::AddContents(const std::string& path, std::string_view contents) {
  MLOS_RETURN_IF_ERROR(CheckAddable(path, std::string(64, '0')));
  const std::filesystem::path copy = IncomingPath("contents " + path);
  MLOS_RETURN_IF_ERROR(os::WriteFile(copy, contents));
  MLOS_RETURN_IF_ERROR(AddFile(path, copy, Sha256Hex(contents)));
  const MutexLock lock(mu_);
  return files_.at(path);
}

Status StoreInstall::RemoveFile(const std::string& path) {
  const MutexLock lock(mu_);
  const auto found = files_.find(path);
  if (found == files_.end()) return NotFound("the package has no file '" + Printable(path) + "'");
  MLOS_RETURN_IF_ERROR(os::RemoveFile(tree_ / path));
  files_.erase(found);
  // Folders that this left empty would be in the package otherwise.
  for (auto folder = (tree_ / path).parent_path(); folder != tree_; folder = folder.parent_path()) {
    MLOS_RETURN_IF_ERROR(os::RemoveDirectoryIfEmpty(folder));
  }
  return OkStatus();
}

std::vector<PackageFile> StoreInstall::files() const {
  const MutexLock lock(mu_);
  std::vector<PackageFile> files;
  for (const auto& [path, file] : files_) files.push_back(file);
  return files;
}

Result<InstalledPackage> StoreInstall::Commit(Manifest manifest) {
  if (spent_) return FailedPrecondition("the install of " + ref_.ToString() + " is over");
  manifest.api_version = std::string(kApiVersion);
  manifest.namespace_ = ref_.namespace_;
  manifest.name = ref_.name;
  manifest.version = ref_.revision;
  manifest.files = files();
  if (manifest.files.empty()) return FailedPrecondition("the package " + ref_.ToString() + " has no files");
  const std::string yaml = WriteManifest(manifest);
  const auto parsed = ParseManifest(yaml);
  if (!parsed.ok()) return parsed.status().WithContext("the manifest of " + ref_.ToString());
  MLOS_RETURN_IF_ERROR(CheckTree());
  InstalledPackage package{ref_, layout_.Package(ref_), *parsed, 0, ""};
  for (const PackageFile& file : package.manifest.files) package.size_bytes += file.size_bytes;
  MLOS_RETURN_IF_ERROR(CheckTree());
  MLOS_RETURN_IF_ERROR(os::RemoveFile(tree_ / kManifestName));
  MLOS_RETURN_IF_ERROR(os::WriteFile(tree_ / kManifestName, yaml, kReadOnly));
  MLOS_RETURN_IF_ERROR(SyncTree());
  MLOS_RETURN_IF_ERROR(Publish());
  Finish();
  return package;
}

// Nothing but what was added may be published.
Status StoreInstall::CheckTree() const {
  MLOS_ASSIGN_OR_RETURN(const auto found, FilesBelow(tree_));
  const MutexLock lock(mu_);
  for (const std::filesystem::path& file : found) {
    if (file != kManifestName && !files_.contains(file.string())) {
      return FailedPrecondition("'" + (tree_ / file).string() +
                                "' was put into the package without Install's knowledge");
    }
  }
  return OkStatus();
}

// The files themselves were synced before they became blobs.
Status StoreInstall::SyncTree() const {
  std::set<std::filesystem::path> folders = {tree_};
  for (const PackageFile& file : files()) {
    for (auto folder = (tree_ / file.path).parent_path(); folder != tree_; folder = folder.parent_path())
      folders.insert(folder);
  }
  for (const std::filesystem::path& folder : folders) MLOS_RETURN_IF_ERROR(os::SyncDirectory(folder));
  return os::SyncDirectory(layout_.blobs());
}

Status StoreInstall::Publish() {
  const std::filesystem::path target = layout_.Package(ref_);
  for (int tries = 1;; ++tries) {
    MLOS_RETURN_IF_ERROR(os::MakeDirectories(target.parent_path()));
    const Status status = os::Exists(target) ? Replace(target) : os::Rename(tree_, target);
    if (status.ok()) return os::SyncDirectory(target.parent_path());
    if (status.code() != Code::kNotFound || tries == kPublishTries) return status;
  }
}

Status StoreInstall::Replace(const std::filesystem::path& target) {
  const Status exchanged = os::Exchange(tree_, target);
  if (exchanged.code() != Code::kUnimplemented) return exchanged;
  const std::filesystem::path old = layout_.OldPackage(ref_);
  MLOS_RETURN_IF_ERROR(os::Rename(target, old));
  if (Status status = os::Rename(tree_, target); !status.ok()) {
    (void)os::Rename(old, target);
    return status;
  }
  MLOS_RETURN_IF_ERROR(os::SyncDirectory(target.parent_path()));
  // What stays of it here is removed by the next install.
  (void)os::RemoveTree(old);
  return OkStatus();
}

// The package is in place: what cannot be tidied up now is garbage, no error.
void StoreInstall::Finish() {
  spent_ = true;
  (void)os::RemoveTree(layout_.Staging(key_));
  (void)os::RemoveTree(layout_.Incoming(key_));
  collect_garbage_();
  lock_.reset();
}

Status StoreInstall::Discard() {
  if (spent_) return OkStatus();
  MLOS_RETURN_IF_ERROR(os::RemoveTree(layout_.Staging(key_)));
  MLOS_RETURN_IF_ERROR(os::RemoveTree(layout_.Incoming(key_)));
  spent_ = true;
  collect_garbage_();
  lock_.reset();
  return OkStatus();
}

}  // namespace mlos::package
