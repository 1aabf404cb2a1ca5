// SPDX-License-Identifier: Apache-2.0
#include "os/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mlos.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include "os/errors.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace mlos::os {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Status Failed(const char* call, const std::string& name, uint64_t bytes) {
  const int error = errno;
  if (error == ENOMEM || error == ENOSPC) {
    return ResourceExhausted("no memory for " + FormatBytes(bytes) + " of '" + name + "' (" + call + ")");
  }
  return ErrnoStatus(error, call, name);
}

bool IsTensor(const Descriptor& fd) {
  struct statfs file_system;
  return ::fstatfs(fd.get(), &file_system) == 0 && file_system.f_type == MLOS_TENSOR_FS_MAGIC;
}

}  // namespace

void Descriptor::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<SharedMemory> SharedMemory::Make(const std::string& name, uint64_t size_bytes, int more_seals) {
  Descriptor fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return Failed("memfd_create", name, size_bytes);
  if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0)
    return Failed("ftruncate", name, size_bytes);
  const int raw = fd.get();
  MLOS_ASSIGN_OR_RETURN(SharedMemory memory, Map(std::move(fd), size_bytes, Access::kReadWrite));
  if (::fcntl(raw, F_ADD_SEALS, kSizeSeals | more_seals | F_SEAL_SEAL) != 0)
    return Failed("seal", name, size_bytes);
  return memory;
}

Result<SharedMemory> SharedMemory::Create(const std::string& name, uint64_t size_bytes) {
  return Make(name, size_bytes, 0);
}

Result<SharedMemory> SharedMemory::CreateReadOnlyForOthers(const std::string& name, uint64_t size_bytes) {
  return Make(name, size_bytes, F_SEAL_FUTURE_WRITE);
}

Result<SharedMemory> SharedMemory::Borrow(std::span<std::byte> bytes, int fd, std::shared_ptr<void> owner) {
  SharedMemory memory;
  memory.fd_ = Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!memory.fd_.valid()) return Failed("dup", "shared memory", bytes.size());
  memory.data_ = bytes.data();
  memory.size_ = bytes.size();
  memory.is_tensor_ = IsTensor(memory.fd_);
  memory.owner_ = std::move(owner);
  return memory;
}

Result<SharedMemory> SharedMemory::Attach(Descriptor fd, uint64_t size_bytes, Access access) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Failed("look at", "shared memory", size_bytes);
  if (static_cast<uint64_t>(st.st_size) != size_bytes) {
    return InvalidArgument("shared memory of " + std::to_string(st.st_size) + " bytes came where " +
                           std::to_string(size_bytes) + " were announced");
  }
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if ((seals < 0 || (seals & kSizeSeals) != kSizeSeals) && !IsTensor(fd)) {
    return InvalidArgument("shared memory came whose size is not sealed");
  }
  return Map(std::move(fd), size_bytes, access);
}

Result<SharedMemory> SharedMemory::Map(Descriptor fd, uint64_t size_bytes, Access access) {
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = ::mmap(nullptr, size_bytes, protection, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return Failed("map", "shared memory", size_bytes);
  SharedMemory memory;
  memory.is_tensor_ = IsTensor(fd);
  memory.fd_ = std::move(fd);
  memory.data_ = static_cast<std::byte*>(data);
  memory.size_ = size_bytes;
  return memory;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr && owner_ == nullptr) ::munmap(data_, size_);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      is_tensor_(other.is_tensor_),
      owner_(std::move(other.owner_)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(is_tensor_, other.is_tensor_);
  std::swap(owner_, other.owner_);
  return *this;
}

Status SharedMemory::Commit(uint64_t offset, uint64_t length) const {
  int result = 0;
  do {
    result = is_tensor_ ? ::madvise(data_ + offset, length, MADV_POPULATE_WRITE)
                        : ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return OkStatus();
  // What a touch of a tensor's page would have been: SIGBUS, because it cannot be had.
  if (is_tensor_ && errno == EFAULT) errno = ENOMEM;
  return Failed(is_tensor_ ? "madvise" : "fallocate", "shared memory", length);
}

}  // namespace mlos::os
