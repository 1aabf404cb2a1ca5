// SPDX-License-Identifier: Apache-2.0
#include "os/memory_placement.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace mlos::os {
namespace {

Status Failed(std::string_view what, std::string_view advice = "") {
  const std::string message = std::string(what) + ": " + std::strerror(errno) + std::string(advice);
  switch (errno) {
    case ENOMEM:
    case EAGAIN:
    case EPERM:
      return ResourceExhausted(message);
    case EINVAL:
      return InvalidArgument(message);
    case ENOSYS:
      return Unimplemented(message);
    case EFAULT:
    case EHWPOISON:
      return DataLoss(message);
    default:
      return Internal(message);
  }
}

void* Address(std::span<const std::byte> memory) { return const_cast<std::byte*>(memory.data()); }

}  // namespace

Status PinMemory(std::span<const std::byte> memory) {
  if (mlock(memory.data(), memory.size()) == 0) return OkStatus();
  return Failed("pin " + std::to_string(memory.size()) + " bytes", "; raise the limit memlock (ulimit -l)");
}

Status UnpinMemory(std::span<const std::byte> memory) {
  return munlock(memory.data(), memory.size()) == 0 ? OkStatus() : Failed("unpin memory");
}

Status PrefetchMemory(std::span<const std::byte> memory, bool wait) {
  if (wait && madvise(Address(memory), memory.size(), MADV_POPULATE_READ) == 0) return OkStatus();
  if (wait && errno != EINVAL) return Failed("read memory ahead");
  return madvise(Address(memory), memory.size(), MADV_WILLNEED) == 0 ? OkStatus()
                                                                     : Failed("read memory ahead");
}

Result<uint64_t> ResidentBytes(std::span<const std::byte> memory) {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there((memory.size() + page - 1) / page);
  if (mincore(Address(memory), memory.size(), there.data()) != 0) return Failed("residency of memory");
  return page * static_cast<uint64_t>(
                    std::count_if(there.begin(), there.end(), [](unsigned char c) { return c & 1; }));
}

Status BindMemory(std::span<std::byte> memory, int node, bool strict) {
  std::array<unsigned long, 16> mask{};  // 1024 nodes
  constexpr int kBits = 8 * sizeof(unsigned long);
  if (node < 0 || node >= static_cast<int>(mask.size()) * kBits)
    return InvalidArgument("memory node " + std::to_string(node));
  mask[static_cast<size_t>(node / kBits)] = 1UL << (node % kBits);
  const int mode = strict ? MPOL_BIND : MPOL_PREFERRED;
  if (syscall(SYS_mbind, memory.data(), memory.size(), mode, mask.data(), mask.size() * kBits + 1, 0U) == 0)
    return OkStatus();
  return Failed("bind memory to node " + std::to_string(node));
}

int MemoryNodes() {
  int nodes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/node", error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("node") && name.size() > 4 &&
        name.find_first_not_of("0123456789", 4) == std::string::npos)
      ++nodes;
  }
  return std::max(nodes, 1);
}

}  // namespace mlos::os
