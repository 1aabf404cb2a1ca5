// SPDX-License-Identifier: Apache-2.0
// A file or a folder on this machine as a repository.
#pragma once

#include <filesystem>

#include "hub/adapter.h"

namespace mlos::hub {

// Files of a folder: all but hidden ones, links that leave the folder refused. The commit is "sha256-<hex>" over names,
// sizes and modification times: a changed folder is a new revision.
class LocalAdapter final : public Adapter {
 public:
  // `path`: an existing file or folder.
  explicit LocalAdapter(std::filesystem::path path) : path_(std::move(path)) {}
  Result<Repository> Resolve(const package::ModelRef& ref, const std::atomic<bool>* interrupted) override;
  FileSource Locate(const Repository& repository, const RemoteFile& file) const override;

 private:
  const std::filesystem::path path_;
};

}  // namespace mlos::hub
