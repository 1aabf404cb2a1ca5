// SPDX-License-Identifier: Apache-2.0
// Control groups (version 2) for the children of this process, where the system lets it make some: a limit that counts every page a
// child takes, whichever way, and that the kernel enforces on the child alone.
//
//   <own group>/           delegated by whoever started this process
//     mlos-core/           this process moves here: a group with children that have limits holds no processes itself
//     worker-<n>/          one child each
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/status.h"

namespace mlos::os {

// Removed by the destructor, when its processes have ended.
class ChildGroup {
 public:
  explicit ChildGroup(std::filesystem::path path) : path_(std::move(path)) {}
  ~ChildGroup();
  ChildGroup(const ChildGroup&) = delete;
  ChildGroup& operator=(const ChildGroup&) = delete;

  // Moves the process, with what it starts from now on.
  Status Add(int64_t pid) const;
  // How often the kernel has ended processes of the group because they took more than their limit.
  uint64_t out_of_memory_kills() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
};

struct ChildGroupLimits {
  uint64_t memory_bytes =
      0;  // anonymous, shared and page-cache memory; file pages that can be read again are dropped first
  uint32_t tasks = 0;  // threads and processes; 0 = no limit
};

// Thread-safe after Open.
class ChildGroups {
 public:
  // Moves this process into its own leaf. kUnimplemented: no control groups of version 2, or no memory controller in them;
  // kPermissionDenied: not delegated; kFailedPrecondition: other processes are in the group. The message says what would help.
  // `root` is "/" but in tests.
  static Result<std::unique_ptr<ChildGroups>> Open(const std::filesystem::path& root = "/");

  Result<std::unique_ptr<ChildGroup>> Make(const ChildGroupLimits& limits);
  const std::filesystem::path& path() const { return path_; }

 private:
  ChildGroups(std::filesystem::path path, bool counts_tasks)
      : path_(std::move(path)), counts_tasks_(counts_tasks) {}

  const std::filesystem::path path_;
  const bool counts_tasks_;
  std::atomic<uint64_t> last_number_{0};
};

}  // namespace mlos::os
