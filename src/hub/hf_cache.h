// SPDX-License-Identifier: Apache-2.0
// Reads the cache that Hugging Face's own tools keep; never writes it.
//
//   <root>/models--<org>--<name>/refs/<revision>            text: the commit
//                               /snapshots/<commit>/<path>  link to ../../blobs/<digest>
//                               /blobs/<digest>             sha256 (big files) or git sha1 (small ones)
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "hub/adapter.h"

namespace mlos::hub {

// Thread-safe.
class HfCache {
 public:
  explicit HfCache(std::filesystem::path root) : root_(std::move(root)) {}
  const std::filesystem::path& root() const { return root_; }

  // What the cache holds of `id` at `revision` (a ref or a commit); possibly not all of its files. kNotFound says where
  // it looked.
  Result<Repository> Resolve(const std::string& id, const std::string& revision) const;

  // The cached copy of `file` with the right size, by snapshot or by digest; empty when there is none. Its digest is
  // for the caller to check.
  std::filesystem::path FindFile(const std::string& id, const std::string& commit,
                                 const RemoteFile& file) const;

 private:
  std::filesystem::path RepositoryDir(const std::string& id) const;

  const std::filesystem::path root_;
};

}  // namespace mlos::hub
