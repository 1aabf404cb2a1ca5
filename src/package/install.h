// SPDX-License-Identifier: Apache-2.0
// The install of one package into a store. Inside package/ only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "os/file_lock.h"
#include "package/store.h"
#include "package/store_layout.h"

namespace mlos::package {

// States: open -> spent (by Commit or Discard).
class StoreInstall final : public Install {
 public:
  // Takes over the model's lock and prepares the staging folder. `collect_garbage` is called when blobs may
  // have become unused, with no lock of this object held but the model's.
  static Result<std::unique_ptr<Install>> Start(const StoreLayout& layout, const ModelRef& ref,
                                                os::FileLock lock, bool waited,
                                                std::optional<InstalledPackage> existing,
                                                std::function<void()> collect_garbage);
  ~StoreInstall() override;

  const std::optional<InstalledPackage>& existing() const override { return existing_; }
  bool waited() const override { return waited_; }
  const std::filesystem::path& dir() const override { return tree_; }
  std::filesystem::path IncomingPath(const std::string& key) const override;
  Result<bool> LinkBlob(const std::string& path, const std::string& sha256) override;
  Status AddFile(const std::string& path, const std::filesystem::path& incoming,
                 const std::string& sha256) override;
  Result<PackageFile> AddCopy(const std::string& path, const std::filesystem::path& source) override;
  Result<PackageFile> AddContents(const std::string& path, std::string_view contents) override;
  Status RemoveFile(const std::string& path) override;
  std::vector<PackageFile> files() const override;
  Result<InstalledPackage> Commit(Manifest manifest) override;
  Status Discard() override;

 private:
  StoreInstall(const StoreLayout& layout, const ModelRef& ref, os::FileLock lock, bool waited,
               std::optional<InstalledPackage> existing, std::function<void()> collect_garbage);

  Status Prepare();
  Status KeepEarlierFiles();
  Status CheckAddable(const std::string& path, const std::string& sha256) const;
  // The blob's file under `path` in the tree. Needs blobs.lock.
  Status Place(const std::string& path, const std::string& sha256);
  Status CheckTree() const;
  Status SyncTree() const;
  Status Publish();
  Status Replace(const std::filesystem::path& target);
  void Finish();

  // Constant after construction.
  const StoreLayout layout_;
  const ModelRef ref_;
  const std::string key_;
  const std::filesystem::path tree_;
  const bool waited_;
  const std::optional<InstalledPackage> existing_;
  const std::function<void()> collect_garbage_;

  // Used by the owner's thread only.
  std::optional<os::FileLock> lock_;
  bool spent_ = false;

  mutable Mutex mu_;
  std::map<std::string, PackageFile> files_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::package
