// SPDX-License-Identifier: Apache-2.0
// Regular files: reading, writing, copying, with errors that say what was wanted and what was there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::os {

struct FileInfo {
  uint64_t size_bytes = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t link_count = 0;
  int64_t modified_unix_ns = 0;
  int64_t changed_unix_ns = 0;  // contents, mode or number of links
  uint32_t mode = 0;            // permission bits
  bool is_regular = false;
  bool is_directory = false;
};

// Follows symbolic links.
Result<FileInfo> Stat(const std::filesystem::path& path);
// Of a symbolic link the link itself, which is neither regular nor a folder.
Result<FileInfo> StatNoFollow(const std::filesystem::path& path);
bool Exists(const std::filesystem::path& path);

// An open file; closed by the destructor. ReadAt and WriteAt may be called by several threads, the rest not.
class File {
 public:
  enum class Mode { kRead, kCreate, kOpenOrCreate };
  // kCreate empties what is there. kOpenOrCreate keeps it (to resume). New files get 0666 less the umask.
  static Result<File> Open(const std::filesystem::path& path, Mode mode);
  File() = default;
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;

  // As many bytes as there are, at most buffer.size(); 0 at the end of the file.
  Result<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const;
  // All of `data`, or an error; a full disk is kResourceExhausted and says what was needed and what was free.
  Status WriteAt(uint64_t offset, std::span<const std::byte> data) const;
  Status WriteAt(uint64_t offset, std::string_view data) const {
    return WriteAt(offset, std::as_bytes(std::span(data)));
  }
  Result<uint64_t> Size() const;
  Status Truncate(uint64_t size_bytes) const;
  // Data and metadata are on disk after this.
  Status Sync() const;
  // Close errors are seen only here.
  Status Close();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::filesystem::path path_;
};

// The whole file; kTooLarge when it holds more than `max_bytes`, kInvalidArgument when it is no regular file.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes);
// Calls `chunk` with consecutive pieces of the file, in order; stops at its first error.
Status ReadChunks(const std::filesystem::path& path,
                  const std::function<Status(std::span<const std::byte>)>& chunk);

// Creates or empties, writes, syncs. On error the file is removed.
Status WriteFile(const std::filesystem::path& path, std::string_view contents, uint32_t mode = 0644);
// Readers see the old contents or the new ones, never a part; both survive a crash. Writes "<path>.<pid>.tmp"
// beside it.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view contents,
                           uint32_t mode = 0644);

// A copy that does not follow later changes of `from`: a reflink where the file system has them, else copied
// inside the kernel. `to` must not exist. Not synced. On error `to` is removed.
Status CopyFile(const std::filesystem::path& from, const std::filesystem::path& to);
Status SyncFile(const std::filesystem::path& path);
Status SetMode(const std::filesystem::path& path, uint32_t mode);
// Marks as modified now.
Status Touch(const std::filesystem::path& path);
// True when the file is open for writing, or mapped for it, anywhere. False also where the file system cannot tell.
Result<bool> HasWriters(const std::filesystem::path& path);
// A second name for the same file. kUnimplemented when the file system has none or the file has too many.
Status HardLink(const std::filesystem::path& from, const std::filesystem::path& to);
// OK when there was none.
Status RemoveFile(const std::filesystem::path& path);

}  // namespace mlos::os
