// SPDX-License-Identifier: Apache-2.0
// What the weight cache does with files. Functions that return false leave the reason in errno.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cache_entry.h"

namespace mlos_ort {

// Nothing when there is no such regular file.
std::optional<Stamp> StampOf(const std::string& path);

// Nothing when the file cannot be read or is longer than `limit`.
std::optional<std::string> ReadSmallFile(const std::string& path, uint64_t limit);

// Nothing when the file cannot be read.
std::optional<uint64_t> DigestOf(const std::string& path);

// On disk when true is returned.
bool WriteDurably(const std::string& path, std::string_view bytes);
bool SyncFolder(const std::string& path);

// Makes what the engine wrote durable and read-only.
bool Seal(const std::string& path);

// Bytes that may still be written to the file system of `path`.
uint64_t FreeBytes(const std::string& path);

// Marks as used now; nothing happens where that is not allowed.
void Touch(const std::string& path);

// An exclusive lock on a file, held by one process and one thread at a time, released by the destructor or when the process
// dies.
class FileLock {
 public:
  // Waits at most `timeout_ms`. Nothing when the file cannot be made or the time is over.
  static std::optional<FileLock> Take(const std::string& path, int64_t timeout_ms);
  FileLock(FileLock&& other) noexcept : file_(other.file_) { other.file_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

}  // namespace mlos_ort
