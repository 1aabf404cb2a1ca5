// SPDX-License-Identifier: Apache-2.0
// Folders, and renaming what is in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::os {

// With its parents; every folder made is on disk (its parent synced) after this. OK when it is there already.
Status MakeDirectories(const std::filesystem::path& path);
// The names in the folder are on disk after this.
Status SyncDirectory(const std::filesystem::path& path);
// Names in the folder, sorted, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::filesystem::path& path);

// Replaces a file at `to`; a folder only when that is empty.
Status Rename(const std::filesystem::path& from, const std::filesystem::path& to);
// The two change places in one step. kUnimplemented when the kernel or the file system cannot.
Status Exchange(const std::filesystem::path& a, const std::filesystem::path& b);

// The file, or the folder with all that is in it; symbolic links are removed, not followed. OK when there was
// none.
Status RemoveTree(const std::filesystem::path& path);
// OK also when it is not empty or not there.
Status RemoveDirectoryIfEmpty(const std::filesystem::path& path);

// Free for this user, on the file system that holds `path` (or its nearest parent that exists).
Result<uint64_t> FreeBytes(const std::filesystem::path& path);

// A new folder with a unique name, by default in the system's folder for temporary files; removed with its
// contents by the destructor.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  explicit TemporaryDirectory(const std::filesystem::path& parent);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }  // empty when it could not be made

 private:
  std::filesystem::path path_;
};

}  // namespace mlos::os
