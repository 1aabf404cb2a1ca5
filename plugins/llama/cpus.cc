// SPDX-License-Identifier: Apache-2.0
#include "cpus.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <thread>

namespace mlos::llama {
namespace {

// The quota of this process's own cgroup (version 2); empty when there is none to read.
std::string ReadCpuMax() {
  std::string line;
  std::ifstream groups("/proc/self/cgroup");
  while (std::getline(groups, line)) {
    if (!line.starts_with("0::")) continue;
    std::string text;
    std::ifstream file("/sys/fs/cgroup" + line.substr(3) + "/cpu.max");
    if (!file) file.open("/sys/fs/cgroup/cpu.max");
    std::getline(file, text);
    return text;
  }
  return {};
}

}  // namespace

uint32_t AvailableCpus() {
  uint32_t cpus = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0)
    cpus = static_cast<uint32_t>(std::max(1, CPU_COUNT(&mask)));
  const uint32_t quota = CpusOfQuota(ReadCpuMax());
  return quota == 0 ? cpus : std::min(cpus, quota);
}

uint32_t CpusOfQuota(std::string_view cpu_max) {
  uint64_t quota = 0;
  uint64_t period = 0;
  const char* end = cpu_max.data() + cpu_max.size();
  const auto [after, error] = std::from_chars(cpu_max.data(), end, quota);
  if (error != std::errc() || after == end || *after != ' ') return 0;
  const auto [last, error2] = std::from_chars(after + 1, end, period);
  if (error2 != std::errc() || last != end || period == 0 || quota > UINT32_MAX) return 0;
  return static_cast<uint32_t>(std::max<uint64_t>(1, (quota + period - 1) / period));
}

uint32_t DefaultThreads(uint32_t cpus, uint64_t weight_bytes) {
  if (weight_bytes < kOneThreadWeightBytes) return 1;
  return cpus >= 4 ? cpus - 1 : cpus;
}

}  // namespace mlos::llama
