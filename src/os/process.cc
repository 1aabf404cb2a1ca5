// SPDX-License-Identifier: Apache-2.0
#include "os/process.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace mlos::os {

Result<std::filesystem::path> ExecutablePath() {
  std::error_code error;
  std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Internal("cannot read /proc/self/exe: " + error.message());
  return path;
}

uint32_t UserId() { return ::getuid(); }
uint32_t GroupId() { return ::getgid(); }

int AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace mlos::os
