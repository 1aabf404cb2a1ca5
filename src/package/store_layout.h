// SPDX-License-Identifier: Apache-2.0
// Where things are in a store. Inside package/ only.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "package/ref.h"

namespace mlos::package {

class StoreLayout {
 public:
  explicit StoreLayout(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path blobs() const { return root_ / "blobs"; }
  std::filesystem::path packages() const { return root_ / "packages"; }
  std::filesystem::path staging() const { return root_ / "staging"; }
  std::filesystem::path incoming() const { return root_ / "incoming"; }
  std::filesystem::path locks() const { return root_ / "locks"; }

  std::filesystem::path Blob(std::string_view sha256) const {
    return blobs() / ("sha256-" + std::string(sha256));
  }
  std::filesystem::path BlobsLock() const { return locks() / "blobs.lock"; }
  std::filesystem::path Package(const ModelRef& ref) const {
    return packages() / ref.namespace_ / ref.name / LabelFolder(ref.revision);
  }
  // Where an old package waits while it is replaced on a file system without exchange.
  std::filesystem::path OldPackage(const ModelRef& ref) const;

  // Name of the model's staging and incoming folders and of its lock.
  static std::string Key(const ModelRef& ref);
  std::filesystem::path Staging(const std::string& key) const { return staging() / key; }
  std::filesystem::path Tree(const std::string& key) const { return Staging(key) / "tree"; }
  // Links that keep the blobs of an earlier, killed try.
  std::filesystem::path Kept(const std::string& key) const { return Staging(key) / "kept"; }
  std::filesystem::path Incoming(const std::string& key) const { return incoming() / key; }
  std::filesystem::path ModelLock(const std::string& key) const { return locks() / (key + ".lock"); }

  // "@<label>" with "/" as "%2F", and back; nothing for what is no such name.
  static std::string LabelFolder(const std::string& label);
  static std::optional<std::string> LabelOf(std::string_view folder);

 private:
  std::filesystem::path root_;
};

inline constexpr std::string_view kOldSuffix = "%old";

}  // namespace mlos::package
