// SPDX-License-Identifier: Apache-2.0
// How much memory there is, how much a process uses, and who sets a limit: /proc and control groups.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::os {

// Of one process, in bytes. File pages are resident ones only: what the kernel has dropped is not in use.
struct ProcessMemory {
  uint64_t rss = 0;
  uint64_t pss = 0;        // every page divided by the number of processes that map it
  uint64_t anonymous = 0;  // heap, stacks, written pages of private mappings: this process's alone
  uint64_t shmem = 0;      // shared memory, this process's share
  uint64_t file = 0;       // mapped files, resident, shared or not
  uint64_t file_pss = 0;   // mapped files, this process's share
  uint64_t swap = 0;

  // What ends with the process.
  uint64_t private_bytes() const { return anonymous + shmem + swap; }
};

// The text of /proc/PID/smaps_rollup. kDataLoss when a field that is needed is missing or no number.
Result<ProcessMemory> ParseSmapsRollup(std::string_view text);
// The text of /proc/PID/status, which everybody may read: no shares, so mapped files count whole in pss.
Result<ProcessMemory> ParseProcessStatus(std::string_view text);
// `pid` 0 = this process. kNotFound when there is no such process; kPermissionDenied when it is another user's.
Result<ProcessMemory> ReadProcessMemory(int64_t pid);

struct MachineMemory {
  uint64_t total = 0;
  uint64_t available = 0;  // without swapping, by the kernel's own estimate
};
// The text of /proc/meminfo.
Result<MachineMemory> ParseMeminfo(std::string_view text);
Result<MachineMemory> ReadMachineMemory();

// The memory controller of this process's control group.
struct CgroupMemory {
  int version = 0;                  // 2 or 1; 0 = no control group sets a limit
  std::filesystem::path group;      // the group whose limit is lowest: this process's own, or one above it
  std::filesystem::path own_group;  // this process's own; empty when there is none
  uint64_t limit = 0;               // bytes; meaningful when version is not 0
};
// `root` is "/" but in tests. Never fails: what cannot be read sets no limit.
CgroupMemory FindCgroupMemory(const std::filesystem::path& root = "/");

// Counters of <group>/memory.events; version 2 only.
struct CgroupEvents {
  uint64_t high = 0;      // times the group was throttled because it was over memory.high
  uint64_t max = 0;       // times the group was about to go over memory.max
  uint64_t oom_kill = 0;  // processes killed
};
CgroupEvents ParseCgroupEvents(std::string_view text);
Result<CgroupEvents> ReadCgroupEvents(const std::filesystem::path& group);

}  // namespace mlos::os
