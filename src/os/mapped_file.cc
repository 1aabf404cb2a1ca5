// SPDX-License-Identifier: Apache-2.0
#include "os/mapped_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "os/errors.h"
#include "os/file.h"

namespace mlos::os {

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const File file, File::Open(path, File::Mode::kRead));
  struct stat st;
  if (::fstat(file.fd(), &st) != 0) return ErrnoStatus(errno, "look at", path);
  if (!S_ISREG(st.st_mode)) return InvalidArgument("'" + path.string() + "' is not a regular file");
  MappedFile mapped;
  if (st.st_size == 0) return mapped;
  const size_t size = static_cast<size_t>(st.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "map", path);
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.size_ = size;
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace mlos::os
