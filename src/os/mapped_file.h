// SPDX-License-Identifier: Apache-2.0
// A file mapped read-only. Whoever cuts the file short while it is mapped makes reads of the lost part fatal
// (SIGBUS): map files of the store, which never change, or files that only a one-shot command reads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/status.h"

namespace mlos::os {

// Unmapped by the destructor. Reading is thread-safe.
class MappedFile {
 public:
  // An empty file gives empty bytes. kInvalidArgument for what is no regular file.
  static Result<MappedFile> Open(const std::filesystem::path& path);
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mlos::os
