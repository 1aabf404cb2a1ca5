// SPDX-License-Identifier: Apache-2.0
// What kind of machine this is, as far as it matters to those who run models: read from /proc, /sys and /etc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::os {

// What could not be read is empty or 0.
struct MachineFacts {
  std::string kernel;        // "6.1.0-18-amd64"
  std::string architecture;  // "x86_64", "aarch64"
  std::string distribution;  // "Debian GNU/Linux 12 (bookworm)"
  std::string cpu_model;
  int cpus = 0;                           // that this process may use
  std::vector<std::string> cpu_features;  // of those that inference engines have code for, weakest first
  uint64_t huge_pages_free = 0;           // reserved ones
  uint64_t huge_page_bytes = 0;
  std::string transparent_huge_pages;  // "always", "madvise", "never"
  bool memory_pressure = false;        // /proc/pressure/memory can be read
  bool kernel_module = false;          // /dev/mlos-ml is there
};

// `root` is "/" but in tests; kernel, architecture and cpus always come from the system itself.
MachineFacts ReadMachineFacts(const std::filesystem::path& root = "/");

// OK when a thread of this process may run under a real-time policy; else why not and what to change.
Status RealtimePermitted();

// "ext4", "xfs", "btrfs", "tmpfs", "overlayfs", "nfs", ... or the number of the type in hexadecimal.
Result<std::string> FileSystemName(const std::filesystem::path& path);

// Opens the library in a sandboxed child process and looks for `symbol` there, so that a library that crashes or misbehaves
// while it is opened harms nobody.
Status TryLibrary(const std::filesystem::path& library, const char* symbol);

}  // namespace mlos::os
