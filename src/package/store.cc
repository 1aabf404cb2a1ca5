// SPDX-License-Identifier: Apache-2.0
#include "package/store.h"

#include <algorithm>
#include <functional>

#include "base/clock.h"
#include "os/directory.h"
#include "os/file.h"
#include "os/file_lock.h"
#include "package/digest.h"
#include "package/install.h"
#include "package/path.h"
#include "package/store_layout.h"

namespace mlos::package {
namespace {

constexpr int64_t kStagingLifeNs = int64_t{24} * 3600 * 1'000'000'000;

// The newest change of any file or folder below `dir` and of `dir`, but for hard links, whose contents may be
// older or newer than the install; 0 when there is nothing.
int64_t NewestChangeNs(const std::filesystem::path& dir) {
  const auto info = os::Stat(dir);
  if (!info.ok() || (!info->is_directory && info->link_count > 1)) return 0;
  int64_t newest = info->modified_unix_ns;
  const auto names = info->is_directory ? os::ListDirectory(dir) : std::vector<std::string>();
  if (!names.ok()) return newest;
  for (const std::string& name : *names) newest = std::max(newest, NewestChangeNs(dir / name));
  return newest;
}

// Bytes in files that have no other name.
uint64_t OwnBytes(const std::filesystem::path& dir) {
  const auto info = os::Stat(dir);
  if (!info.ok()) return 0;
  if (!info->is_directory) return info->link_count == 1 ? info->size_bytes : 0;
  uint64_t sum = 0;
  for (const std::string& name : os::ListDirectory(dir).value_or({})) sum += OwnBytes(dir / name);
  return sum;
}

class FolderStore final : public Store {
 public:
  explicit FolderStore(const std::filesystem::path& root) : layout_(root) {}

  Status MakeFolders() {
    for (const auto& folder :
         {layout_.blobs(), layout_.packages(), layout_.staging(), layout_.incoming(), layout_.locks()}) {
      MLOS_RETURN_IF_ERROR(
          os::MakeDirectories(folder).WithContext("the store '" + root().string() + "' cannot be written"));
    }
    return OkStatus();
  }

  const std::filesystem::path& root() const override { return layout_.root(); }
  Result<std::unique_ptr<Install>> Begin(const ModelRef& ref, bool wait) override;
  Result<std::vector<InstalledPackage>> List() const override;
  Result<InstalledPackage> Find(const ModelRef& ref) const override;
  Result<std::vector<VerifyProblem>> Verify(const ModelRef& ref) const override;
  Status Remove(const ModelRef& ref) override;
  Result<uint64_t> CollectGarbage() override;

 private:
  using Visit = std::function<Status(const ModelRef& ref)>;

  Result<os::FileLock> LockModel(const ModelRef& ref, bool wait) const;
  Status FinishReplacement(const ModelRef& ref) const;
  // The folder of the package, which may be the one kept by a replacement under way; empty when it is not
  // installed.
  std::filesystem::path FolderOf(const ModelRef& ref) const;
  Status NotInstalled(const ModelRef& ref) const;
  Result<InstalledPackage> OpenInstalled(const ModelRef& ref) const;
  // Calls `visit` for each package below `dir`, whose path below packages/ is `name`.
  Status Walk(const std::filesystem::path& dir, const std::string& name, const Visit& visit) const;
  void DropDamagedBlob(const PackageFile& file, const os::FileInfo& found) const;
  uint64_t RemoveStaleStaging();
  Result<uint64_t> RemoveUnusedBlobs();

  const StoreLayout layout_;
};

Result<os::FileLock> FolderStore::LockModel(const ModelRef& ref, bool wait) const {
  auto lock =
      os::FileLock::Acquire(layout_.ModelLock(StoreLayout::Key(ref)), os::FileLock::Kind::kExclusive, wait);
  if (lock.ok()) return lock;
  std::string what = "the store '" + root().string() + "' cannot be written";
  if (lock.status().code() == Code::kUnavailable) {
    what = ref.ToString() + " is being installed or removed by another process";
  } else if (lock.status().code() == Code::kCancelled) {
    what = "the wait for the other install of " + ref.ToString() + " was interrupted";
  }
  return lock.status().WithContext(what);
}

Result<std::unique_ptr<Install>> FolderStore::Begin(const ModelRef& ref, bool wait) {
  MLOS_ASSIGN_OR_RETURN(const ModelRef checked, ParseModelRef(ref.ToString()));
  if (!(checked == ref))
    return InvalidArgument("'" + Printable(ref.ToString()) +
                           "' does not read back as the same model reference");
  MLOS_RETURN_IF_ERROR(MakeFolders());
  bool waited = false;
  auto lock = LockModel(ref, false);
  if (wait && lock.status().code() == Code::kUnavailable) {
    waited = true;
    lock = LockModel(ref, true);
  }
  if (!lock.ok()) return lock.status();
  MLOS_RETURN_IF_ERROR(FinishReplacement(ref));
  std::optional<InstalledPackage> existing;
  auto found = Find(ref);
  // So that the reinstall of a damaged package does not link its damaged files.
  if (found.status().code() == Code::kDataLoss) (void)Verify(ref);
  if (found.ok()) existing = std::move(*found);
  return StoreInstall::Start(layout_, ref, std::move(*lock), waited, std::move(existing),
                             [this] { (void)CollectGarbage(); });
}

// After a kill in the middle of a replacement on a file system without exchange. Needs the model's lock.
Status FolderStore::FinishReplacement(const ModelRef& ref) const {
  const std::filesystem::path old = layout_.OldPackage(ref);
  if (!os::Exists(old)) return OkStatus();
  if (os::Exists(layout_.Package(ref))) return os::RemoveTree(old);
  return os::Rename(old, layout_.Package(ref));
}

std::filesystem::path FolderStore::FolderOf(const ModelRef& ref) const {
  // Twice, since the package may come into place after the first look and before the second.
  for (int tries = 0; tries < 2; ++tries) {
    for (const auto& folder : {layout_.Package(ref), layout_.OldPackage(ref)}) {
      if (os::Exists(folder)) return folder;
    }
  }
  return {};
}

Status FolderStore::Walk(const std::filesystem::path& dir, const std::string& name,
                         const Visit& visit) const {
  const auto names = os::ListDirectory(dir);
  if (!names.ok()) {
    // Removed meanwhile, or a stray file.
    return names.status().code() == Code::kNotFound ? OkStatus() : names.status();
  }
  for (std::string entry : *names) {
    if (!entry.starts_with('@')) {
      MLOS_RETURN_IF_ERROR(Walk(dir / entry, name.empty() ? entry : name + "/" + entry, visit));
      continue;
    }
    if (entry.ends_with(kOldSuffix)) {
      entry.resize(entry.size() - kOldSuffix.size());
      if (std::find(names->begin(), names->end(), entry) != names->end()) continue;
    }
    const auto label = StoreLayout::LabelOf(entry);
    const auto ref = ParseModelRef(name + "@" + label.value_or(""));
    if (label && ref.ok()) MLOS_RETURN_IF_ERROR(visit(*ref));
  }
  return OkStatus();
}

Result<InstalledPackage> FolderStore::OpenInstalled(const ModelRef& ref) const {
  // A package that is replaced between the reading of its manifest and the look at its files seems damaged
  // once.
  for (int tries = 1;; ++tries) {
    const std::filesystem::path folder = FolderOf(ref);
    if (folder.empty()) return NotInstalled(ref);
    auto package = OpenPackage(folder);
    if (package.ok() && package->ref == ref) return package;
    if (tries < 3) continue;
    if (FolderOf(ref).empty()) return NotInstalled(ref);
    if (package.ok())
      return DataLoss("'" + folder.string() + "' holds the manifest of " + package->ref.ToString());
    return DataLoss(ref.ToString() + " is damaged: " + package.status().message());
  }
}

Result<std::vector<InstalledPackage>> FolderStore::List() const {
  std::vector<InstalledPackage> packages;
  MLOS_RETURN_IF_ERROR(Walk(layout_.packages(), "", [&](const ModelRef& ref) {
    auto package = OpenInstalled(ref);
    if (package.ok()) {
      packages.push_back(std::move(*package));
    } else if (package.status().code() != Code::kNotFound) {
      InstalledPackage damaged;
      damaged.ref = ref;
      damaged.dir = FolderOf(ref);
      damaged.problem = package.status().message();
      packages.push_back(std::move(damaged));
    }
    return OkStatus();
  }));
  std::sort(packages.begin(), packages.end(), [](const InstalledPackage& a, const InstalledPackage& b) {
    return a.ref.ToString() < b.ref.ToString();
  });
  return packages;
}

Status FolderStore::NotInstalled(const ModelRef& ref) const {
  std::string others;
  const std::string name = ref.namespace_ + "/" + ref.name;
  (void)Walk(layout_.packages() / ref.namespace_ / ref.name, name, [&](const ModelRef& other) {
    if (other.name == ref.name) others += (others.empty() ? "" : ", ") + other.ToString();
    return OkStatus();
  });
  return NotFound(
      ref.ToString() + " is not installed; " +
      (others.empty() ? "nothing is installed under that name" : "installed under that name: " + others));
}

Result<InstalledPackage> FolderStore::Find(const ModelRef& ref) const { return OpenInstalled(ref); }

// Later installs must not link what is damaged; packages that have it keep it.
void FolderStore::DropDamagedBlob(const PackageFile& file, const os::FileInfo& found) const {
  const auto blob = os::Stat(layout_.Blob(file.sha256));
  if (blob.ok() && blob->inode == found.inode && blob->device == found.device)
    (void)os::RemoveFile(layout_.Blob(file.sha256));
}

Result<std::vector<VerifyProblem>> FolderStore::Verify(const ModelRef& ref) const {
  const std::filesystem::path folder = FolderOf(ref);
  if (folder.empty()) return NotInstalled(ref);
  std::vector<VerifyProblem> problems;
  const auto manifest = ReadManifest(folder / kManifestName);
  if (!manifest.ok()) {
    problems.push_back({std::string(kManifestName), manifest.status().message()});
    return problems;
  }
  for (const PackageFile& file : manifest->files) {
    const auto info = os::Stat(folder / file.path);
    if (!info.ok()) {
      problems.push_back(
          {file.path, info.status().code() == Code::kNotFound ? "missing" : info.status().message()});
      continue;
    }
    if (info->size_bytes != file.size_bytes) {
      problems.push_back({file.path, "size is " + std::to_string(info->size_bytes) + ", manifest says " +
                                         std::to_string(file.size_bytes)});
      DropDamagedBlob(file, *info);
      continue;
    }
    const auto sha256 = Sha256File(folder / file.path);
    if (!sha256.ok()) {
      problems.push_back({file.path, sha256.status().message()});
    } else if (*sha256 != file.sha256) {
      problems.push_back({file.path, "sha256 differs"});
      DropDamagedBlob(file, *info);
    }
  }
  std::error_code error;
  for (auto entry = std::filesystem::recursive_directory_iterator(folder, error);
       !error && entry != decltype(entry)(); entry.increment(error)) {
    const std::string path = entry->path().lexically_relative(folder).string();
    const bool known =
        path == kManifestName || std::any_of(manifest->files.begin(), manifest->files.end(),
                                             [&](const PackageFile& f) { return f.path == path; });
    if (!known && !entry->is_directory(error)) problems.push_back({path, "not in the manifest"});
  }
  return problems;
}

Status FolderStore::Remove(const ModelRef& ref) {
  if (FolderOf(ref).empty()) return NotInstalled(ref);
  MLOS_RETURN_IF_ERROR(MakeFolders());
  MLOS_ASSIGN_OR_RETURN(const os::FileLock lock, LockModel(ref, false));
  MLOS_RETURN_IF_ERROR(FinishReplacement(ref));
  const std::filesystem::path folder = layout_.Package(ref);
  if (!os::Exists(folder)) return NotInstalled(ref);
  const std::string key = StoreLayout::Key(ref);
  MLOS_RETURN_IF_ERROR(os::RemoveTree(layout_.Staging(key)));
  MLOS_RETURN_IF_ERROR(os::MakeDirectories(layout_.Staging(key)));
  // Out of the list in one step; a kill after it leaves garbage only.
  MLOS_RETURN_IF_ERROR(
      os::Rename(folder, layout_.Tree(key)).WithContext("the store '" + root().string() + "'"));
  MLOS_RETURN_IF_ERROR(os::SyncDirectory(folder.parent_path()));
  MLOS_RETURN_IF_ERROR(os::RemoveTree(layout_.Staging(key)));
  MLOS_RETURN_IF_ERROR(os::RemoveTree(layout_.Incoming(key)));
  for (auto parent = folder.parent_path(); parent != layout_.packages(); parent = parent.parent_path()) {
    MLOS_RETURN_IF_ERROR(os::RemoveDirectoryIfEmpty(parent));
  }
  return CollectGarbage().status();
}

// Installs that were given up a day ago; the model's lock tells those that are alive.
uint64_t FolderStore::RemoveStaleStaging() {
  std::vector<std::string> keys = os::ListDirectory(layout_.staging()).value_or({});
  for (std::string& key : os::ListDirectory(layout_.incoming()).value_or({})) keys.push_back(std::move(key));
  const int64_t limit_ns = Clock::Real().UnixNs() - kStagingLifeNs;
  uint64_t freed = 0;
  for (const std::string& key : keys) {
    const auto stale = [&] {
      const int64_t newest_ns =
          std::max(NewestChangeNs(layout_.Staging(key)), NewestChangeNs(layout_.Incoming(key)));
      return newest_ns != 0 && newest_ns < limit_ns;
    };
    if (!stale()) continue;
    const auto lock = os::FileLock::Acquire(layout_.ModelLock(key), os::FileLock::Kind::kExclusive, false);
    if (!lock.ok() || !stale()) continue;
    const uint64_t bytes = OwnBytes(layout_.Incoming(key)) + OwnBytes(layout_.Staging(key));
    if (os::RemoveTree(layout_.Staging(key)).ok() && os::RemoveTree(layout_.Incoming(key)).ok())
      freed += bytes;
  }
  return freed;
}

Result<uint64_t> FolderStore::RemoveUnusedBlobs() {
  MLOS_ASSIGN_OR_RETURN(const os::FileLock lock,
                        os::FileLock::Acquire(layout_.BlobsLock(), os::FileLock::Kind::kExclusive));
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDirectory(layout_.blobs()));
  uint64_t freed = 0;
  for (const std::string& name : names) {
    const auto info = os::Stat(layout_.blobs() / name);
    if (!info.ok() || !info->is_regular || info->link_count != 1) continue;
    MLOS_RETURN_IF_ERROR(os::RemoveFile(layout_.blobs() / name));
    freed += info->size_bytes;
  }
  return freed;
}

Result<uint64_t> FolderStore::CollectGarbage() {
  MLOS_RETURN_IF_ERROR(MakeFolders());
  const uint64_t stale = RemoveStaleStaging();
  MLOS_ASSIGN_OR_RETURN(const uint64_t unused, RemoveUnusedBlobs());
  return stale + unused;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& root) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(root, error);
  if (error || root.empty())
    return InvalidArgument("store folder '" + root.string() + "': " + (error ? error.message() : "is empty"));
  auto store = std::make_unique<FolderStore>(absolute);
  const Status made = store->MakeFolders();
  // What cannot be written may still be read.
  if (!made.ok() && !(made.code() == Code::kPermissionDenied && os::Exists(absolute))) return made;
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace mlos::package
