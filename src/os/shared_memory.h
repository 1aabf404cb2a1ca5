// SPDX-License-Identifier: Apache-2.0
// Memory that several processes map: an anonymous file (memfd) whose size is sealed, or a tensor of /dev/mlos-ml, whose size never
// changes. So nobody can make a mapping of it fault by cutting it short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "os/descriptor.h"

namespace mlos::os {

// Unmapped and closed by the destructor. Reading and writing the bytes is up to the caller's synchronisation.
class SharedMemory {
 public:
  enum class Access { kReadWrite, kReadOnly };

  // Zero bytes, mapped for writing here; `name` shows in /proc. Takes address space, no memory: see Commit. Sealed against
  // shrinking, growing and further seals.
  static Result<SharedMemory> Create(const std::string& name, uint64_t size_bytes);
  // As Create, and sealed so that whoever receives the descriptor can map it for reading only.
  static Result<SharedMemory> CreateReadOnlyForOthers(const std::string& name, uint64_t size_bytes);
  // What somebody else of this process has mapped for writing and unmaps when `owner` goes; `fd`, which is what other processes get of
  // it, is duplicated.
  static Result<SharedMemory> Borrow(std::span<std::byte> bytes, int fd, std::shared_ptr<void> owner);
  // Maps what another process has made. kInvalidArgument when it is not `size_bytes` long or its size could change.
  static Result<SharedMemory> Attach(Descriptor fd, uint64_t size_bytes, Access access);

  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;

  // Backs [offset, offset + length) with memory now, so that touching it later cannot fail. kResourceExhausted when there is
  // none left. Thread-safe.
  Status Commit(uint64_t offset, uint64_t length) const;

  std::byte* data() const { return data_; }
  uint64_t size_bytes() const { return size_; }
  const Descriptor& fd() const { return fd_; }
  // Memory of the kernel module.
  bool is_tensor() const { return is_tensor_; }

 private:
  static Result<SharedMemory> Make(const std::string& name, uint64_t size_bytes, int more_seals);
  static Result<SharedMemory> Map(Descriptor fd, uint64_t size_bytes, Access access);

  Descriptor fd_;
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  bool is_tensor_ = false;
  std::shared_ptr<void> owner_;  // null: the mapping is this object's
};

}  // namespace mlos::os
